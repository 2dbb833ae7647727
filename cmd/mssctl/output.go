package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

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
	return writeJSON(a.out, a.format, object)
}

// writeJSON writes one object in a format for programs.
func writeJSON(to io.Writer, f format, text []byte) error {
	if f == formatYAML {
		out, err := yaml.JSONToYAML(text)
		if err != nil {
			return err
		}
		_, err = to.Write(out)
		return err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err := b.WriteTo(to)
	return err
}

func writeRow(w io.Writer, cells []string) {
	clean := make([]string, len(cells))
	for i, cell := range cells {
		clean[i] = shown(cell)
	}
	fmt.Fprintln(w, strings.Join(clean, "\t"))
}

// shown is a cell as a table has it.
func shown(cell string) string {
	if cell == "" {
		return "-"
	}
	return printable(cell)
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
