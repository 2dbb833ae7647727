package configfile

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/token"
)

// Problem is one mistake in a configuration file.
type Problem struct {
	File string
	// Line and Column count from one; zero means that the mistake has no place, as a missing key.
	Line, Column int
	// Key is the path of the key, such as "users[2].name"; empty for a mistake of the file as a whole.
	Key string
	// Text says what is wrong and what would be right.
	Text string
}

// Error reads "lmss.yaml:12:3: listen.udp[0]: what is wrong".
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Key != "" {
		b.WriteString(p.Key)
		b.WriteString(": ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// keyError is a mistake whose place in the file is not known where it is found.
type keyError struct {
	key  string
	text string
}

func (e *keyError) Error() string { return e.key + ": " + e.text }

// At is an error of the value of one key, for [Settings].Validate. The key is its path from the top, such as
// "users[2].name"; [Parse] adds file, line and column.
func At(key, format string, args ...any) error {
	return &keyError{key: key, text: fmt.Sprintf(format, args...)}
}

// place is where a key's value stands.
type place struct{ line, column int }

func placeOf(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{}
	}
	return place{line: t.Position.Line, column: t.Position.Column}
}

// locate gives the errors of a Validate their places.
func (d *decoder) locate(err error) error {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		var located []error
		for _, e := range joined.Unwrap() {
			located = append(located, d.locate(e))
		}
		return errors.Join(located...)
	}
	var at *keyError
	if !errors.As(err, &at) {
		return fmt.Errorf("%s: %w", d.file, err)
	}
	where := d.nearestPlace(at.key)
	return &Problem{File: d.file, Line: where.line, Column: where.column, Key: at.key, Text: at.text}
}

// nearestPlace is the key's place or, if the file does not have it, that of the part of its path that it has.
func (d *decoder) nearestPlace(key string) place {
	for key != "" {
		if p, ok := d.places[key]; ok {
			return p
		}
		key = key[:max(0, strings.LastIndexAny(key, ".["))]
	}
	return place{}
}

// syntax gives an error of the YAML parser its place.
func (d *decoder) syntax(err error) error {
	var e yaml.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%s: %w", d.file, err)
	}
	where := placeOf(e.GetToken())
	return &Problem{File: d.file, Line: where.line, Column: where.column, Text: e.GetMessage()}
}
