package scim

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tenure-gateway/tenure"
)

// sample is a resource as it is answered, with every kind of attribute.
func sample() map[string]any {
	return map[string]any{
		"schemas": []any{userURN, enterpriseURN}, "id": "u-1", "externalId": "Ext-1", "userName": "BJensen@example.com", "active": true,
		"name":     map[string]any{"givenName": "Barbara", "familyName": "Jensen"},
		"title":    "Vice \"President\"",
		"timezone": "Europe/Berlin",
		"emails": []any{
			map[string]any{"value": "bj@example.com", "type": "work", "primary": true},
			map[string]any{"value": "babs@jensen.org", "type": "home"},
		},
		"addresses":   []any{map[string]any{"type": "work", "postalCode": "10115"}},
		"meta":        map[string]any{"created": "2026-11-22T10:00:00.000Z", "resourceType": "User"},
		enterpriseURN: map[string]any{"department": "Tour", "manager": map[string]any{"value": "26118915"}},
	}
}

// RFC 7644 §3.4.2.2: every operator, in every place.
func TestFilterMatches(t *testing.T) {
	for _, c := range []struct {
		filter string
		want   bool
	}{
		{`userName eq "bjensen@example.com"`, true},
		{`USERNAME EQ "BJENSEN@EXAMPLE.COM"`, true},
		{`userName eq bjensen@example.com`, true},
		{`  userName   eq	"bjensen@example.com"  `, true},
		{`urn:ietf:params:scim:schemas:core:2.0:User:userName sw "bj"`, true},
		{`URN:IETF:params:scim:schemas:CORE:2.0:user:username sw "bj"`, true},
		{`externalId eq "Ext-1"`, true},
		{`externalId eq "ext-1"`, false},
		{`externalId eq 17`, false},
		{`id eq u-1`, true},
		{`userName ne "bjensen@example.com"`, false},
		{`nickName ne "x"`, true},
		{`nickName eq "x"`, false},
		{`nickName eq null`, true},
		{`nickName ne null`, false},
		{`userName ne null`, true},
		{`title eq "vice \"president\""`, true},
		{`title co "pres"`, true},
		{`title co "\u0050RES"`, true},
		{`title ew "dent\""`, true},
		{`userName gt "a"`, true},
		{`userName lt "a"`, false},
		{`userName ge "bjensen@example.com"`, true},
		{`userName le "bjensen@example.com"`, true},
		{`nickName pr`, false},
		{`name pr`, true},
		{`name.givenName pr`, true},
		{`name.familyName co "ENS"`, true},
		{`active eq true`, true},
		{`active eq "True"`, true},
		{`active eq FALSE`, false},
		{`active ne false`, true},
		{`emails co "jensen.org"`, true},
		{`emails.value eq "bj@example.com"`, true},
		{`emails.type eq "Home"`, true},
		{`emails.primary eq "true"`, true},
		{`emails[type eq "work"]`, true},
		{`emails[type eq "work"] pr`, true},
		{`emails[type eq "other"]`, false},
		{`emails[type eq "work" and value co "@example.com"]`, true},
		{`emails[type eq "home" and primary eq true]`, false},
		{`emails[not (type eq "work")]`, true},
		{`emails[type eq "work"].value eq "bj@example.com"`, true},
		{`emails[type eq "home"].value eq "bj@example.com"`, false},
		{`emails[ type eq work ].value sw "bj"`, true},
		{`addresses[postalCode eq 10115]`, true},
		{`phoneNumbers pr`, false},
		{`phoneNumbers ne "1"`, true},
		{`meta.created gt "2026-11-22T09:59:59Z"`, true},
		{`meta.created eq "2026-11-22T11:00:00+01:00"`, true},
		{`meta.created le "2026-11-22T09:59:59Z"`, false},
		{`meta.created ne "2026-11-22T09:59:59Z"`, true},
		{`schemas eq "` + enterpriseURN + `"`, true},
		{enterpriseURN + `:department eq "tour"`, true},
		{enterpriseURN + `:manager.value eq "26118915"`, true},
		{enterpriseURN + `:manager eq "26118915"`, true},
		{enterpriseURN + `:division pr`, false},
		{`title pr and userType eq "Employee"`, false},
		{`title pr or userType eq "Employee"`, true},
		{`userType pr and title pr or active eq true`, true}, // and binds closer
		{`userType pr and (title pr or active eq true)`, false},
		{`not (userType pr) and not(nickName pr)`, true},
		{`not (not (title pr))`, true},
		{`((title pr))`, true},
		{`title pr AND (active eq false OR userName co "jen") and Not (nickName pr)`, true},
	} {
		f, err := parseFilter(c.filter)
		if err == nil {
			err = f.bind(userType.resolve)
		}
		if err != nil {
			t.Errorf("%s: %v", c.filter, err)
			continue
		}
		if got := f.match(sample()); got != c.want {
			t.Errorf("%s: %v, want %v", c.filter, got, c.want)
		}
	}
}

func TestFilterFaults(t *testing.T) {
	for _, c := range []struct{ filter, want string }{
		{``, "the name of an attribute at character 1"},
		{`   `, "the name of an attribute"},
		{`userName`, "one of eq, ne"},
		{`userName xx "a"`, "one of eq, ne, co, sw, ew, gt, ge, lt, le, pr at character 10"},
		{`userName eq`, "a value"},
		{`userName eq "a`, "a string in quotes"},
		{`userName eq "\x"`, "a string in quotes"},
		{`userName co bare`, "a value in quotes"},
		{`userName eq "a" "b"`, "the end of the filter at character 17"},
		{`userName eq "a" and`, "the name of an attribute"},
		{`userName eq "a" order`, "the end of the filter"},
		{`(userName eq "a"`, `or ")"`},
		{`userName eq "a")`, "the end of the filter"},
		{`emails[type eq "work"`, `or "]"`},
		{`emails[type eq "work"]. eq "x"`, "the name of a sub-attribute"},
		{`emails[emails[type eq "x"]]`, "no bracket here"},
		{`emails.value[type eq "x"]`, "no bracket here"},
		{`emails[]`, "the name of an attribute"},
		{`.value eq "x"`, "the name of an attribute"},
		{`1a eq "x"`, "the name of an attribute"},
		{`name.a.b eq "x"`, "the name of an attribute"},
		{`http://x:y eq "x"`, "the name of an attribute"},
		{`not userName pr`, "one of eq"},
		{"userName eq \"\xff\"", "UTF-8"},
		{strings.Repeat("(", 33) + `active pr` + strings.Repeat(")", 33), "at most 32 brackets"},
		{strings.Repeat("not (", 33) + `active pr` + strings.Repeat(")", 33), "at most 32 brackets"},
		{`userName eq "` + strings.Repeat("a", maxFilterBytes) + `"`, "at most 4096 bytes"},

		{`nothing eq "x"`, `no attribute is called "nothing"`},
		{`name.nothing eq "x"`, `no attribute is called "name.nothing"`},
		{`urn:example:x:department eq "x"`, `no attribute is called "urn:example:x:department"`},
		{userURN + ` pr`, "no attribute is called"},
		{`emails[nothing eq "x"]`, `no attribute is called "nothing"`},
		{`emails[name.value eq "x"]`, "no attribute is called"},
		{`userName[type eq "x"]`, "no values to select from"},
		{`name eq "x"`, "for example name.formatted"},
		{`addresses co "x"`, "for example addresses.formatted"},
		{`active gt true`, "eq or ne, and true or false"},
		{`active eq "maybe"`, "eq or ne, and true or false"},
		{`userName gt null`, "eq or ne before null"},
		{`userName co 17`, "a string in quotes"},
		{`meta.created gt "yesterday"`, "a time such as"},
		{`meta.created co "2026"`, "eq, ne, gt"},
		{`x509Certificates gt "x"`, "binary"},
	} {
		f, err := parseFilter(c.filter)
		if err == nil {
			err = f.bind(userType.resolve)
		}
		if !isCode(err, "invalidFilter") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60s: %v, want invalidFilter with %q", c.filter, err, c.want)
		}
	}
	deep := strings.Repeat("(", 32) + `active pr` + strings.Repeat(")", 32)
	if _, err := parseFilter(deep + " and " + deep); err != nil {
		t.Errorf("32 brackets: %v", err)
	}
}

func TestPath(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`userName`, `userName`},
		{`USERNAME`, `userName`},
		{` name.familyname `, `name.familyName`},
		{`emails[type eq "work"]`, `emails [1]`},
		{`emails[type eq "work"].value`, `emails.value [1]`},
		{`emails[type eq "work" and primary eq true].Display`, `emails.display [2]`},
		{userURN + `:emails[type eq "work"].value`, `emails.value [1]`},
		{userURN + `:name.givenName`, `name.givenName`},
		{userURN + `:externalId`, `externalId`},
		{enterpriseURN + `:manager.value`, enterpriseURN + `:manager.value`},
		{strings.ToLower(enterpriseURN) + `:MANAGER.$REF`, enterpriseURN + `:manager.$ref`},
		{enterpriseURN, enterpriseURN},
		{userURN, ``},
		{`department`, `unknown`},
		{enterpriseURN + `:nothing`, `unknown`},
		{`urn:example:User:x`, `unknown`},
		{`nothing`, `unknown`},

		{``, `invalidPath`},
		{`a b`, `invalidPath`},
		{`a.b.c`, `invalidPath`},
		{`:a`, `invalidPath`},
		{`urn:`, `invalidPath`},
		{`emails[type eq "work"]value`, `invalidPath`},
		{`emails[type eq "work"].`, `invalidPath`},
		{`emails[type eq "work"].value.x`, `invalidPath`},
		{`emails[type eq "work"`, `invalidFilter`},
		{`emails[type]`, `invalidFilter`},
		{`emails[type eq "work].value`, `invalidFilter`},
		{strings.Repeat("a", maxFilterBytes+1), `invalidPath`},
	} {
		p, err := parsePath(c.in)
		found, ok := userType.resolve(p)
		got := found.String()
		var e *tenure.Error
		switch {
		case errors.As(err, &e):
			got = e.Code
		case !ok:
			got = "unknown"
		case p.selector != nil:
			got += fmt.Sprintf(" [%d]", max(1, len(p.selector.parts)))
		}
		if got != c.want {
			t.Errorf("%.60s: %q, want %q (%v)", c.in, got, c.want, err)
		}
	}
}

// isCode reports whether err is an Invalid with this scimType.
func isCode(err error, code string) bool {
	var e *tenure.Error
	return errors.As(err, &e) && e.Kind == tenure.Invalid && e.Code == code
}
