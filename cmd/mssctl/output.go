package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/goccy/go-yaml"
	"google.golang.org/protobuf/proto"
)

// format is how results are printed.
type format string

// The formats.
const (
	formatTable format = "table"
	formatJSON  format = "json"
	formatYAML  format = "yaml"
)

func formats() []string { return []string{string(formatTable), string(formatJSON), string(formatYAML)} }

// String, Set and Type make a format a flag.
func (f *format) String() string { return string(*f) }

// Set accepts the known formats.
func (f *format) Set(text string) error {
	if !slices.Contains(formats(), text) {
		return errors.New("want " + strings.Join(formats(), ", "))
	}
	*f = format(text)
	return nil
}

// Type is the flag's value in help.
func (*format) Type() string { return "format" }

// list is what a list command prints: a row for people and an object for programs.
type list struct {
	noun    string // plural, for an empty table
	columns []string
	rows    [][]string
	objects []json.RawMessage
}

// add appends one item.
func (l *list) add(object json.RawMessage, cells ...string) {
	l.rows = append(l.rows, cells)
	l.objects = append(l.objects, object)
}

// print writes the list in the format asked for. JSON and YAML are one array, also when it is empty.
func (a *app) print(l *list) error {
	if a.format != formatTable {
		objects := l.objects
		if objects == nil {
			objects = []json.RawMessage{}
		}
		text, err := json.Marshal(objects)
		if err != nil {
			return err
		}
		return a.printJSON(text)
	}
	if len(l.rows) == 0 {
		fmt.Fprintln(a.errOut, "no "+l.noun)
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	writeRow(w, l.columns)
	for _, row := range l.rows {
		writeRow(w, row)
	}
	return w.Flush()
}

// printObject writes one message for programs, or text for people.
func (a *app) printObject(m proto.Message, text string) error {
	if a.format == formatTable {
		_, err := io.WriteString(a.out, text)
		return err
	}
	object, err := objectJSON(m)
	if err != nil {
		return err
	}
	return a.printJSON(object)
}

func (a *app) printJSON(text []byte) error {
	if a.format == formatYAML {
		out, err := yaml.JSONToYAML(text)
		if err != nil {
			return err
		}
		_, err = a.out.Write(out)
		return err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err := b.WriteTo(a.out)
	return err
}

func writeRow(w io.Writer, cells []string) {
	clean := make([]string, len(cells))
	for i, cell := range cells {
		clean[i] = printable(cell)
		if clean[i] == "" {
			clean[i] = "-"
		}
	}
	fmt.Fprintln(w, strings.Join(clean, "\t"))
}

// printable makes a stranger's text (a phone's name, a dialled number) safe for a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '.'
		}
		return r
	}, s)
}
