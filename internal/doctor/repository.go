package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/tenure-gateway/tenure"
	"github.com/tenure-gateway/tenure/internal/keys"
	"github.com/tenure-gateway/tenure/internal/leaks"
)

// Place is where a secret was found.
type Place struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Commit string `json:"commit,omitempty"` // the oldest that has it; "": the file as it is now
	Date   string `json:"date,omitempty"`
}

// when orders places: what nothing reaches comes last.
func (p Place) when() string { return cmp.Or(p.Date, "later") }

// Bounds of what is told.
const (
	mostSecrets  = 1000 // that are told one by one
	mostPlaces   = 50   // of one secret
	shownPlaces  = 3    // of them in a line of text
	mostSessions = 50_000
)

// IgnoreFile is the file, in the top of a repository, that names secrets which may
// stay in it: an id in a line.
const IgnoreFile = ".tenureignore"

// Secret is one that was found in a repository.
type Secret struct {
	ID     string  `json:"id"` // by which IgnoreFile names it
	Kind   string  `json:"kind"`
	Shown  string  `json:"shown"` // what is shown of it
	Status Status  `json:"status"`
	Live   bool    `json:"live"`           // this installation knows that it is good
	More   int     `json:"more,omitempty"` // places that are not told
	Places []Place `json:"places"`
}

// secretFound is a secret, and where it was found.
type secretFound struct {
	leaks.Hit
	places []Place
	more   int // that are not kept
	later  map[string]int
}

// visit goes through one repository.
type visit struct {
	*Doctor
	repo    *leaks.Repository
	finder  leaks.Finder
	secrets map[string]*secretFound
	order   []*secretFound
	dropped int
	objects map[string]bool // that have something
	files   int
	kept    int
	f       findings
}

// Repository looks for secrets in a directory and in all that its git repository has
// kept, or only in what the next commit would have. What the installation of the
// settings knows is told apart, where its database can be read.
func (d *Doctor) Repository(ctx context.Context, dir string, staged bool) ([]Finding, []Secret, error) {
	repo, err := leaks.OpenRepository(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	if staged && repo.NoHistory != "" {
		return nil, nil, tenure.InvalidField("staged", "--staged: %s", repo.NoHistory)
	}
	v := &visit{Doctor: d, repo: repo, secrets: map[string]*secretFound{}, objects: map[string]bool{}}
	v.openForSecrets(ctx)
	defer func() {
		if d.db != nil {
			_ = d.db.Close()
		}
	}()
	if err := v.look(ctx, staged); err != nil {
		return nil, nil, fmt.Errorf("look through %s: %w", dir, err)
	}
	told, err := v.judge(ctx)
	return v.f, told, err
}

const repository = "repository"

// look reads everything.
func (v *visit) look(ctx context.Context, staged bool) error {
	file := func(name string, text io.Reader) error {
		v.files++
		return v.finder.Find(text, func(h leaks.Hit) { v.add(h, Place{File: name, Line: h.Line}, "") })
	}
	if staged {
		err := v.repo.Staged(ctx, file)
		v.f.ok(repository, "files", count(v.files, "file of the next commit", "files of the next commit")+" looked through")
		return err
	}
	if err := v.repo.Files(ctx, file); err != nil {
		return err
	}
	v.f.ok(repository, "files", count(v.files, "file", "files")+" of "+v.repo.Dir+" looked through"+map[bool]string{true: ", without what git ignores"}[v.repo.NoHistory == ""])
	if v.repo.NoHistory != "" {
		v.f.skip(repository, "history", v.repo.NoHistory+": only the files were looked through")
		return nil
	}
	if err := v.repo.Objects(ctx, func(o leaks.Object, text io.Reader) error {
		v.kept++
		return v.finder.Find(text, func(h leaks.Hit) {
			v.objects[o.ID] = true
			v.add(h, Place{Line: h.Line}, o.ID)
		})
	}); err != nil {
		return err
	}
	all := fmt.Sprintf("%d versions of files, commits and tags looked through: of every branch, tag, stash and reflog, and what nothing reaches any more", v.kept)
	if v.repo.Shallow {
		v.f.warn(repository, "history", all+"; older commits are not here: the clone is shallow", "git fetch --unshallow, then look again.")
	} else {
		v.f.ok(repository, "history", all)
	}
	return v.origins(ctx)
}

// add keeps where a secret is.
func (v *visit) add(h leaks.Hit, at Place, object string) {
	id := h.ID()
	s := v.secrets[id]
	if s == nil {
		if len(v.secrets) == mostSecrets {
			v.dropped++
			return
		}
		s = &secretFound{Hit: h, later: map[string]int{}}
		v.secrets[id], v.order = s, append(v.order, s)
	}
	switch {
	case len(s.places)+len(s.later) >= mostPlaces:
		s.more++
	case object == "":
		s.places = append(s.places, at)
	default:
		s.later[object] = at.Line
	}
}

// origins tells by which commits what was found in the history came there.
func (v *visit) origins(ctx context.Context) error {
	if len(v.objects) == 0 {
		return nil
	}
	origins, err := v.repo.Origins(ctx, v.objects)
	if err != nil {
		return err
	}
	for _, s := range v.order {
		var past []Place
		for object, line := range s.later {
			o, reached := origins[object]
			p := Place{File: o.File, Line: line, Commit: o.Commit}
			if reached {
				p.Date = o.At.UTC().Format("2006-01-02")
			} else {
				p.File, p.Commit = "what nothing reaches any more", object
			}
			past = append(past, p)
		}
		slices.SortFunc(past, func(a, b Place) int {
			return cmp.Or(strings.Compare(a.when(), b.when()), strings.Compare(a.Commit+a.File, b.Commit+b.File))
		})
		s.places = append(s.places, past...)
	}
	return nil
}

// openForSecrets opens what can tell which secrets live: the settings, the key and the
// database of an installation, where there is one.
func (v *visit) openForSecrets(ctx context.Context) {
	const check = "installation"
	known := map[tenure.Digest]string{}
	if v.cfg, _ = v.Settings.CheckAll(); v.cfg == nil {
		v.f.skip(repository, check, "its settings cannot be used: what is found is told by its form alone")
		return
	}
	know := func(secret, what string) {
		d := tenure.DigestOf(secret)
		if was := known[d]; was != "" && was != what {
			what = was + ", " + what
		}
		known[d] = what
	}
	know(v.cfg.APIToken.Reveal(), "root token of this installation (TENURE_API_TOKEN)")
	for _, s := range v.cfg.SCIMTokens {
		know(s.Reveal(), "SCIM token of this installation (TENURE_SCIM_TOKEN)")
	}
	for _, url := range append([]string{v.cfg.KeyURL}, v.cfg.KeyURLsPrevious...) {
		if text, err := os.ReadFile(keys.FileOf(url)); err == nil {
			know(strings.TrimSpace(string(text)), "key-encryption key of this installation")
		}
	}
	_, v.db = v.database(ctx)
	if v.db == nil {
		v.f.skip(repository, check, "no database of one can be read here (TENURE_HOME, TENURE_DATABASE_URL): what is found is told by its form alone")
	} else {
		n, left, err := v.knowProviders(ctx, know)
		switch {
		case err != nil:
			v.f.warn(repository, check, "its provider keys cannot be had: "+cause(err), "run it as the user that serves, with the environment of the server.")
		default:
			v.f.ok(repository, check, fmt.Sprintf("compared with its tokens, sessions and %s", count(n, "provider key", "provider keys"))+left)
		}
	}
	sessions := 0
	if len(known) > 0 || v.db != nil {
		v.finder.Known = func(d tenure.Digest) string { return known[d] }
	}
	if v.db != nil {
		v.finder.Session = func(d tenure.Digest) string {
			if sessions++; sessions > mostSessions {
				return ""
			}
			if s, err := v.db.SessionStanding(ctx, d); err == nil {
				return "cookie of a session of " + s.UserName
			}
			return ""
		}
	}
}

// knowProviders opens every provider's key, to know it again.
func (v *visit) knowProviders(ctx context.Context, know func(secret, what string)) (n int, left string, err error) {
	key, err := v.masterKey(ctx)
	if err != nil {
		return 0, "", err
	}
	n, faults, err := v.eachKey(ctx, key, func(p tenure.Provider, k tenure.ProviderKey, secret tenure.Secret) {
		what := fmt.Sprintf("key of the provider %q of this installation", p.Name)
		if k.State != tenure.KeyActive {
			what += fmt.Sprintf(" (%s)", k.State)
		}
		know(secret.Reveal(), what)
	})
	if len(faults) > 0 {
		left = "; not with those that do not open: " + some(faults)
	}
	return n, left, err
}

// judge tells each secret.
func (v *visit) judge(ctx context.Context) ([]Secret, error) {
	told := []Secret{}
	ignored := v.ignored()
	for _, s := range v.order {
		finding := Finding{Area: repository, Check: s.Kind, Status: Fail, Found: s.shown() + " (id " + s.ID() + ")"}
		live, state := s.Known, ""
		finding.Do = "end it where it was made, make another, and keep that out of the repository."
		switch {
		case s.Ours && v.db != nil:
			var err error
			if live, state, finding.Do, err = v.token(ctx, s.Secret); err != nil {
				return nil, err
			}
		case s.Known:
			finding.Do = "rotate it, and keep the new one out of the repository."
		}
		switch {
		case !live && ignored[s.ID()]:
			finding.Status, finding.Do, state = Skip, "", ", which "+IgnoreFile+" lets stay"
		case state == ended:
			finding.Status = Warn
		}
		finding.Found += state + ": " + s.where()
		v.f.add(finding)
		told = append(told, Secret{ID: s.ID(), Kind: s.Kind, Shown: s.Mask(), Status: finding.Status, Live: live, More: s.more, Places: s.places})
	}
	if v.dropped > 0 {
		v.f.fail(repository, "more", fmt.Sprintf("%d more are not told", v.dropped), "deal with these, and look again.")
	}
	if len(v.order) == 0 {
		v.f.ok(repository, "secrets", "none")
	}
	return told, nil
}

const ended = ", which has ended here"

// token asks the database about a token of ours.
func (v *visit) token(ctx context.Context, text string) (live bool, state, do string, err error) {
	s, err := v.db.TokenStanding(ctx, tenure.DigestOf(text))
	if errors.Is(err, tenure.ErrNotFound) {
		return false, ", which this installation does not know", "end it in the installation that made it.", nil
	}
	if err != nil {
		return false, "", "", err
	}
	if _, refused := s.Admit(v.db.Now(), 0); refused != nil {
		return false, ended, "nothing: it opens nothing any more.", nil
	}
	whose := map[bool]string{true: " of " + s.UserName}[s.UserName != ""]
	do = "end it now: tenure token revoke " + string(s.Token)
	if s.Kind == tenure.ConnectorToken {
		do = "end it now: tenure connector rotate " + strconv.Quote(s.Name)
	}
	return true, fmt.Sprintf(", which is ALIVE: %q%s", s.Name, whose), do, nil
}

// shown is the mask without the dots that every finding puts behind a token of ours.
func (s *secretFound) shown() string {
	if s.Ours {
		return strings.TrimSuffix(s.Mask(), "…")
	}
	return s.Mask()
}

// where tells the first places in words.
func (s *secretFound) where() string {
	var out []string
	for _, p := range s.places[:min(len(s.places), shownPlaces)] {
		text := printable(p.File) + ":" + strconv.Itoa(p.Line)
		if p.Commit != "" {
			text += " in " + p.Commit[:min(len(p.Commit), 12)]
		}
		if p.Date != "" {
			text += " of " + p.Date
		}
		out = append(out, text)
	}
	text := strings.Join(out, "; ")
	if more := len(s.places) - len(out) + s.more; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

// printable is a file's name, quoted where it would do something to a terminal.
func printable(name string) string {
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}

// ignored reads the ids of what may stay.
func (v *visit) ignored() map[string]bool {
	out := map[string]bool{}
	text, _ := os.ReadFile(filepath.Join(v.repo.Dir, IgnoreFile)) // mostly there is none
	for line := range strings.Lines(string(text)) {
		id, _, _ := strings.Cut(line, "#")
		if id = strings.TrimSpace(id); id != "" {
			out[id] = true
		}
	}
	return out
}
