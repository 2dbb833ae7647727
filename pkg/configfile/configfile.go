// Package configfile reads the one YAML file from which a daemon starts. It is strict: unknown and doubled keys, wrong
// kinds of values and values that the daemon's own check refuses are errors that name file, line and column, all of
// them at once, and the nearest known key where one was mistyped.
//
// It knows no daemon's keys: they are the fields of the struct given to [Load]. It does not watch files.
package configfile

import (
	"errors"
	"io/fs"
	"os"
	"reflect"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/mss-federation/mss/pkg/fault"
)

// MaxSize bounds a configuration file in bytes.
const MaxSize = 1 << 20

const opRead = "read configuration"

// Settings are what a configuration struct may have for [Parse] to call, in this order.
type Settings interface {
	// EnsureDefaults replaces zeros by defaults.
	EnsureDefaults()
	// Validate says what is wrong, with [At] for each key, joined by errors.Join.
	Validate() error
}

// Load reads the file into a T, whose pointer may be [Settings], and also returns the bytes that it read, so that a
// child process can [Parse] exactly what was checked. Errors are [*fault.Error]; where the content is to blame, they
// hold a [*Problem] for each mistake.
func Load[T any](path string) (T, []byte, error) {
	var zero T
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return zero, nil, fault.New(opRead, fault.NotFound, path, "there is no such file; name it with --config")
	case err != nil:
		return zero, nil, &fault.Error{Op: opRead, Kind: fault.Unavailable, Subject: path, Err: err}
	case len(data) > MaxSize:
		return zero, nil, fault.New(opRead, fault.Invalid, path, "larger than 1 MiB; is it the right file?")
	}
	v, err := Parse[T](path, data)
	return v, data, err
}

// Parse reads the bytes of a configuration file; name stands in its errors.
func Parse[T any](name string, data []byte) (T, error) {
	var v T
	d := &decoder{file: name, places: make(map[string]place)}
	root, err := parse(data)
	if err != nil {
		return v, invalid(d.syntax(err))
	}
	if root != nil {
		d.value(root, reflect.ValueOf(&v).Elem(), "")
	}
	if len(d.problems) > 0 {
		return v, invalid(errors.Join(d.problems...))
	}
	settings, ok := any(&v).(Settings)
	if !ok {
		return v, nil
	}
	settings.EnsureDefaults()
	if err := settings.Validate(); err != nil {
		return v, invalid(d.locate(err))
	}
	return v, nil
}

// Check says what is wrong with the file, and nil if a daemon could start from it.
func Check[T any](path string) error {
	_, _, err := Load[T](path)
	return err
}

func invalid(err error) error {
	return &fault.Error{Op: opRead, Kind: fault.Invalid, Err: err}
}

// parse gives the one document's root; nil if the file has comments only.
func parse(data []byte) (ast.Node, error) {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, err
	}
	var root ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if root != nil {
			return nil, &yaml.SyntaxError{Message: "a second document; one file holds one", Token: doc.Body.GetToken()}
		}
		root = doc.Body
	}
	return root, nil
}
