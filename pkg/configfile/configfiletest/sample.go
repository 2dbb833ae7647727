// Package configfiletest holds a daemon's commented sample and its configuration struct together: every key in
// both, every default as the code has it, every example readable. Start at [Sample.Check].
package configfiletest

import (
	"encoding"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/mss-federation/mss/pkg/configfile"
)

// Sample is a commented sample of the configuration T.
type Sample[T any] struct {
	// Path is where it is.
	Path string
	// Bare copies the keys without a default from the sample into an empty configuration and calls
	// EnsureDefaults on it.
	Bare func(sample T) T
	// Elements are the structs in lists and maps, by the key of the list; the sample must show one of each.
	Elements map[string]reflect.Type
	// Examples looks at the configuration that the sample and all its examples give.
	Examples func(t *testing.T, c T)
}

// Check runs all checks as subtests.
func (s Sample[T]) Check(t *testing.T) {
	t.Helper()
	data, err := os.ReadFile(s.Path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	t.Run("shows the defaults", func(t *testing.T) { t.Parallel(); s.defaults(t, text) })
	t.Run("names every key", func(t *testing.T) { t.Parallel(); s.keys(t, text) })
	t.Run("explains every key", func(t *testing.T) { t.Parallel(); explained(t, text) })
	t.Run("has good examples", func(t *testing.T) { t.Parallel(); s.examples(t, text) })
}

// withExamples replaces each empty value by the example behind it.
func withExamples(text string) string {
	emptied := regexp.MustCompile(`(?m)^ *\w+: (\[\]|\{\}|"")\n( *#: )`)
	return strings.ReplaceAll(emptied.ReplaceAllString(text, "$2"), "#: ", "")
}

func (s Sample[T]) defaults(t *testing.T, text string) {
	t.Helper()
	sample, err := configfile.Parse[T](s.Path, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want, got := leaves(reflect.ValueOf(s.Bare(sample)), ""), leaves(reflect.ValueOf(sample), "")
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if got[key] != want[key] {
			t.Errorf("%s: the sample shows %s, the default is %s", key, got[key], want[key])
		}
	}
}

// leaves gives the text of each value that is not a group of keys.
func leaves(v reflect.Value, key string) map[string]string {
	_, text := reflect.TypeAssert[encoding.TextUnmarshaler](reflect.New(v.Type()))
	if v.Kind() != reflect.Struct || text {
		return map[string]string{key: fmt.Sprint(v.Interface())}
	}
	all := make(map[string]string)
	for i, name := range configfile.Keys(v.Type()).Names {
		maps.Copy(all, leaves(v.Field(i), strings.TrimPrefix(key+"."+name, ".")))
	}
	return all
}

func (s Sample[T]) keys(t *testing.T, text string) {
	t.Helper()
	var shown, examples map[string]any
	if err := yaml.Unmarshal([]byte(text), &shown); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(withExamples(text)), &examples); err != nil {
		t.Fatal(err)
	}
	var zero T
	for key := range leaves(reflect.ValueOf(zero), "") {
		if !has(shown, key) {
			t.Errorf("the sample lacks %s", key)
		}
	}
	for key, element := range s.Elements {
		list, _ := examples[key].([]any)
		if len(list) != 1 {
			t.Errorf("no example of %s: %v", key, examples[key])
			continue
		}
		for _, name := range configfile.Keys(element).Names {
			if first, _ := list[0].(map[string]any); !has(first, name) {
				t.Errorf("the example of %s lacks %s", key, name)
			}
		}
	}
}

func has(m map[string]any, key string) bool {
	name, rest, deeper := strings.Cut(key, ".")
	v, ok := m[name]
	if !deeper {
		return ok
	}
	inner, _ := v.(map[string]any)
	return has(inner, rest)
}

func explained(t *testing.T, text string) {
	t.Helper()
	key := regexp.MustCompile(`^ *(#: *)?(- )?\w+:`)
	before := ""
	for line := range strings.Lines(text) {
		told := strings.HasPrefix(strings.TrimSpace(before), "#")
		example := strings.HasPrefix(strings.TrimSpace(line), "#:")
		if key.MatchString(line) && !example && !told {
			t.Errorf("no comment before %q", line)
		}
		before = line
	}
}

func (s Sample[T]) examples(t *testing.T, text string) {
	t.Helper()
	text = withExamples(text)
	if regexp.MustCompile(`(?m)^ *#:`).MatchString(text) {
		t.Error("an example is left out")
	}
	c, err := configfile.Parse[T](s.Path, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s.Examples(t, c)
}
