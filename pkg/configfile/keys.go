package configfile

import (
	"reflect"
	"slices"
	"strings"
)

// Fields are the keys of one configuration struct.
type Fields struct {
	// Names are in the order of the struct.
	Names []string
	index map[string]int
}

// Keys lists the keys that a struct type takes: the names of the yaml tags, or the fields' own in lower case. A field
// tagged "-" is none.
func Keys(t reflect.Type) Fields {
	f := Fields{index: make(map[string]int, t.NumField())}
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if !field.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = strings.ToLower(field.Name)
		}
		f.Names = append(f.Names, name)
		f.index[name] = i
	}
	return f
}

// advice says which key was probably meant, or which there are.
func (f Fields) advice(name string) string {
	best, distance := "", max(2, len(name)/3)
	for _, known := range f.Names {
		if d := edits(strings.ToLower(name), known); d <= distance && (best == "" || d < distance) {
			best, distance = known, d
		}
	}
	if best != "" {
		return "did you mean \"" + best + "\"?"
	}
	return "known here: " + strings.Join(slices.Sorted(slices.Values(f.Names)), ", ")
}

// edits counts the letters to insert, drop or replace to make a into b (Levenshtein).
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
