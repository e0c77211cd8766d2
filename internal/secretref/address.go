package secretref

import (
	"fmt"
	"strings"

	"github.com/tenure-gateway/tenure"
)

// The schemes of addresses.
const (
	SchemeVault = "vault" // vault://MOUNT/PATH#FIELD, KV version 2 of Vault and OpenBao
	SchemeAWS   = "awssm" // awssm://NAME or awssm://NAME#JSON-FIELD
	SchemeGCP   = "gcpsm" // gcpsm://PROJECT/NAME
	SchemeAzure = "azkv"  // azkv://VAULT/NAME
	SchemeK8s   = "k8s"   // k8s:///MOUNTED/FILE, watched
	SchemeFile  = "file"  // file:///FILE
	SchemeEnv   = "env"   // env://NAME, for development
)

// maxAddress is the longest address, in bytes.
const maxAddress = 1024

// Address is where a secret is.
type Address struct {
	Scheme  string
	Path    string // of k8s and file absolute, of the others without a slash before it
	Version string // "": the newest
	Field   string // of the secret, which is a JSON object then; "": the secret itself

	// within is the directory that no link leads out of, where it is a file: of the
	// rule by which its tenant may name it.
	within string
}

// String gives the address as it is written.
func (a Address) String() string {
	s := a.withoutField()
	if a.Field != "" {
		s += "#" + a.Field
	}
	return s
}

func (a Address) withoutField() string {
	s := a.Scheme + "://" + a.Path
	if a.Version != "" {
		s += "?version=" + a.Version
	}
	return s
}

// examples of addresses. Nobody modifies it.
var examples = map[string]string{
	SchemeVault: "vault://secret/tenure/openai#api_key", SchemeAWS: "awssm://tenure/openai", SchemeGCP: "gcpsm://my-project/openai-key",
	SchemeAzure: "azkv://my-vault/openai-key", SchemeK8s: "k8s:///var/run/secrets/providers/openai", SchemeFile: "file:///etc/tenure/secrets/openai", SchemeEnv: "env://OPENAI_KEY",
}

// Parse reads an address. Invalid: it is none, and how one looks.
func Parse(text string) (Address, error) {
	scheme, rest, ok := strings.Cut(text, "://")
	example := examples[scheme]
	if !ok || example == "" {
		return Address{}, tenure.InvalidField("address", "%q is no address of a secret; write for example %s; the schemes are vault, awssm, gcpsm, azkv, k8s, file and env", tenure.Shown(text), examples[SchemeVault])
	}
	a := Address{Scheme: scheme}
	wrong := func(what string) (Address, error) {
		return Address{}, tenure.InvalidField("address", "%s: %s; write for example %s", tenure.Shown(text), what, example)
	}
	rest, a.Field, ok = strings.Cut(rest, "#")
	if ok && !word(a.Field) {
		return wrong("after # comes the name of a field")
	}
	rest, query, ok := strings.Cut(rest, "?")
	if ok {
		if a.Version, ok = strings.CutPrefix(query, "version="); !ok || !word(a.Version) {
			return wrong("after ? comes version= and nothing else")
		}
	}
	a.Path = rest
	if len(text) > maxAddress || !plain(strings.TrimPrefix(a.Path, "/")) {
		return wrong("a path has parts of letters, digits and -_.@:+=, without . and .. as a part")
	}
	if fault := a.fault(); fault != "" {
		return wrong(fault)
	}
	return a, nil
}

// fault says what is wrong with an address of its scheme, or "".
func (a Address) fault() string {
	parts := strings.Count(a.Path, "/") + 1
	absolute := strings.HasPrefix(a.Path, "/")
	switch a.Scheme {
	case SchemeFile, SchemeK8s:
		switch {
		case !absolute || parts < 3:
			return "the path is absolute, with a directory"
		case a.Version != "":
			return "a file has no versions"
		}
		return ""
	case SchemeEnv:
		if parts != 1 || a.Version != "" || a.Field != "" {
			return "it is the name of a variable, and no more"
		}
		for _, own := range [...]string{"TENURE_", "VAULT_", "AWS_", "AZURE_", "GOOGLE_"} {
			if strings.HasPrefix(a.Path, own) { // a rule for A* means others
				return "it is what Tenure itself is set by, or proves itself with"
			}
		}
	case SchemeVault:
		if parts < 2 || a.Field == "" {
			return "a mount, a path and a field are needed"
		}
		if a.Version != "" && strings.Trim(a.Version, "0123456789") != "" {
			return "a version is a number"
		}
	case SchemeGCP, SchemeAzure:
		if parts != 2 || strings.ContainsAny(a.Path, "@:+=") {
			return "two names are needed"
		}
		if a.Scheme == SchemeAzure && strings.ContainsAny(a.Path, "._") {
			return "names of Key Vault have letters, digits and dashes"
		}
		if strings.ContainsAny(a.Version, ".@:+=") { // it becomes a part of a path
			return "a version has letters, digits, dashes and underscores"
		}
	}
	if absolute {
		return "there is no slash before the path"
	}
	return ""
}

// word is a name of letters, digits and a few signs.
func word(s string) bool {
	return s != "" && len(s) <= 128 && strings.IndexFunc(s, func(r rune) bool { return !letter(r) }) < 0
}

func letter(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.@:+=", r)
}

// plain reports whether a path means one thing to everybody who reads it.
func plain(path string) bool {
	for part := range strings.SplitSeq(path, "/") {
		if !word(part) || part == "." || part == ".." {
			return false
		}
	}
	return true
}

// Rules say which addresses each tenant may name. All tenants are one to Vault and the
// clouds, which see Tenure alone; so nobody may name what no rule allows.
type Rules map[tenure.TenantID][]string

// ParseRules reads rules with commas or spaces between: ADDRESS for the installation's
// own tenant, TENANT=ADDRESS for another by its id. An address that ends in / is
// everything below it, and one of env:// that ends in * every name that begins so.
func ParseRules(text string) (Rules, error) {
	rules := Rules{}
	for item := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' }) {
		tenant, address := tenure.DefaultTenant, item
		if before, after, ok := strings.Cut(item, "="); ok && !strings.Contains(before, "://") {
			tenant, address = tenure.TenantID(before), after
		}
		if err := checkRule(address); err != nil || tenant == "" {
			return nil, fmt.Errorf("%q allows nothing: expected an address such as vault://secret/tenure/ or file:///etc/tenure/secrets/ (%w)", item, err)
		}
		rules[tenant] = append(rules[tenant], address)
	}
	return rules, nil
}

func checkRule(address string) error {
	scheme, rest, ok := strings.Cut(address, "://")
	path := strings.TrimPrefix(rest, "/")
	wide := strings.HasSuffix(path, "/")
	switch {
	case !ok || examples[scheme] == "":
		return fmt.Errorf("it has no scheme")
	case scheme == SchemeEnv:
		wide, path = false, strings.TrimSuffix(path, "*")
	case (scheme == SchemeFile || scheme == SchemeK8s) != strings.HasPrefix(rest, "/"):
		return fmt.Errorf("the path of files is absolute, and no other")
	}
	if !plain(strings.TrimSuffix(path, "/")) || wide && path == "/" {
		return fmt.Errorf("it has no plain path")
	}
	return nil
}

// Names reports whether a tenant may name an address.
func (r Rules) Names(tenant tenure.TenantID, a Address) bool {
	_, ok := r.bound(tenant, a)
	return ok
}

// bound gives an address with the directory that it stays in, where a tenant may name
// it: the deepest that a rule of that tenant names, or that of a file which a rule names
// by itself.
func (r Rules) bound(tenant tenure.TenantID, a Address) (Address, bool) {
	allowed := false
	for _, rule := range r[tenant] {
		scheme, path, _ := strings.Cut(rule, "://")
		begin, names := strings.CutSuffix(path, "*")
		switch {
		case scheme != a.Scheme:
		case path == a.Path:
			a.within = a.Path[:strings.LastIndexByte(a.Path, '/')+1]
			return a, true
		case strings.HasSuffix(path, "/") && strings.HasPrefix(a.Path, path):
			allowed = true
			if len(path) > len(a.within) {
				a.within = path
			}
		case names && scheme == SchemeEnv && strings.HasPrefix(a.Path, begin):
			allowed = true
		}
	}
	return a, allowed
}

// Uses reports whether any rule is of a scheme.
func (r Rules) Uses(scheme string) bool {
	for _, rules := range r {
		for _, rule := range rules {
			if strings.HasPrefix(rule, scheme+"://") {
				return true
			}
		}
	}
	return false
}
