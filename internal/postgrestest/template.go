package postgrestest

import (
	"net/url"
	"os"
	"testing"
)

// A Template is what every database that it gives has in it.
type Template struct {
	make func(url string) error
	name string // of the database that is copied; "" where there is none
}

// NewTemplate lets prepare fill a database, of which a superuser's URL is given, so
// that it need not be done for each test. Nobody may be connected to it afterwards.
// On the server that TENURE_TEST_POSTGRES names nothing is left behind: there each
// database is filled anew.
func NewTemplate(prepare func(url string) error) (*Template, error) {
	if os.Getenv(external) != "" {
		return &Template{make: prepare}, nil
	}
	in, err := shared()
	if err != nil {
		return nil, err
	}
	name, err := create(in.programs, in.URL("postgres"), empty)
	if err != nil {
		return nil, err
	}
	return &Template{make: prepare, name: name}, prepare(in.URL(name))
}

// URL gives the URL of a fresh database, as the package's URL does. What a database
// has for itself, such as rights and settings of roles in it, is not copied.
func (f *Template) URL(t testing.TB) string {
	t.Helper()
	if f.name == "" {
		at := URL(t)
		if err := f.make(at); err != nil {
			t.Fatal(err)
		}
		return at
	}
	in, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return database(t, in.programs, in.URL("postgres"), f.name)
}

// at is the URL of a database on the server of another URL.
func at(server, database string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", err
	}
	u.Path = "/" + database
	return u.String(), nil
}
