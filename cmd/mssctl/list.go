package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"google.golang.org/protobuf/proto"
)

// widthRows is how many rows a table waits for before it chooses the widths of its columns. Wider cells of later rows
// push the rest of their row aside.
const widthRows = 200

// list prints what a node streams, as it comes: a long list begins at once and is never held in memory. A row is for
// people, an object for programs.
type list struct {
	app     *app
	noun    string // plural, for an empty table
	columns []string
	count   int
	waiting [][]string // rows of a table whose widths are not chosen yet
	widths  []int      // nil: not chosen
}

func (a *app) newList(noun string, columns ...string) *list {
	return &list{app: a, noun: noun, columns: columns}
}

// add prints one item.
func (l *list) add(m proto.Message, cells ...string) error {
	if l.app.format == formatTable {
		return l.addRow(cells)
	}
	object, err := objectJSON(m)
	if err != nil {
		return err
	}
	return l.addObject(object)
}

// addObject prints one item of an array.
func (l *list) addObject(object json.RawMessage) error {
	l.count++
	if l.app.format == formatYAML {
		text, err := yaml.JSONToYAML(append(append([]byte{'['}, object...), ']'))
		if err != nil {
			return err
		}
		_, err = l.app.out.Write(text)
		return err
	}
	var b bytes.Buffer
	b.WriteString(map[bool]string{true: "[\n  ", false: ",\n  "}[l.count == 1])
	if err := json.Indent(&b, object, "  ", "  "); err != nil {
		return err
	}
	_, err := b.WriteTo(l.app.out)
	return err
}

func (l *list) addRow(cells []string) error {
	l.count++
	if l.widths != nil {
		return l.writeRow(cells)
	}
	l.waiting = append(l.waiting, cells)
	if len(l.waiting) < widthRows {
		return nil
	}
	return l.flush()
}

// end completes the list. JSON and YAML are one array, also when it is empty; one that an error cut off is not closed,
// so that no program takes it for the whole.
func (l *list) end() error {
	var err error
	switch {
	case l.app.format == formatTable && l.count == 0:
		fmt.Fprintln(l.app.errOut, "no "+l.noun)
	case l.app.format == formatTable:
		err = l.flush()
	case l.count == 0:
		_, err = io.WriteString(l.app.out, "[]\n")
	case l.app.format == formatJSON:
		_, err = io.WriteString(l.app.out, "\n]\n")
	}
	return err
}

// finish ends a list that was read whole; otherwise it shows the rows that came before the error.
func (l *list) finish(err error) error {
	if err == nil {
		return l.end()
	}
	if l.app.format == formatTable && l.count > 0 {
		_ = l.flush() // the error that came first is the one to tell
	}
	return err
}

// flush chooses the widths and prints the rows that waited for them.
func (l *list) flush() error {
	rows := l.waiting
	l.waiting = nil
	if l.widths == nil {
		rows = append([][]string{l.columns}, rows...)
		l.widths = widthsOf(rows)
	}
	for _, row := range rows {
		if err := l.writeRow(row); err != nil {
			return err
		}
	}
	return nil
}

func widthsOf(rows [][]string) []int {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(shown(cell)))
		}
	}
	return widths
}

func (l *list) writeRow(cells []string) error {
	var b strings.Builder
	for i, cell := range cells {
		text := shown(cell)
		b.WriteString(text)
		if i < len(cells)-1 {
			b.WriteString(strings.Repeat(" ", max(0, l.widths[i]-utf8.RuneCountInString(text))+2))
		}
	}
	b.WriteByte('\n')
	_, err := io.WriteString(l.app.out, b.String())
	return err
}
