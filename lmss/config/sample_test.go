package config

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

const samplePath = "../../deploy/config/lmss.yaml"

// required are the keys without a default; the sample shows an example.
var required = []string{"site", "domain", "listen.udp", "listen.tcp"}

func readSample(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(samplePath)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// withExamples replaces each empty value by the example behind it.
func withExamples(text string) string {
	emptied := regexp.MustCompile(`(?m)^ *\w+: (\[\]|\{\})\n( *#: )`)
	return strings.ReplaceAll(emptied.ReplaceAllString(text, "$2"), "#: ", "")
}

func TestSampleShowsTheDefaults(t *testing.T) {
	t.Parallel()
	sample, err := configfile.Parse[Config](samplePath, []byte(readSample(t)))
	if err != nil {
		t.Fatal(err)
	}
	bare := Config{Site: sample.Site, Domain: sample.Domain}
	bare.Listen.UDP, bare.Listen.TCP = sample.Listen.UDP, sample.Listen.TCP
	bare.EnsureDefaults()
	want, got := leaves(reflect.ValueOf(bare), ""), leaves(reflect.ValueOf(sample), "")
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
	names := configfile.Keys(v.Type()).Names
	for i, name := range names {
		path := strings.TrimPrefix(key+"."+name, ".")
		maps.Copy(all, leaves(v.Field(i), path))
	}
	return all
}

func TestSampleNamesEveryKey(t *testing.T) {
	t.Parallel()
	text := readSample(t)
	var shown, examples map[string]any
	if err := yaml.Unmarshal([]byte(text), &shown); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(withExamples(text)), &examples); err != nil {
		t.Fatal(err)
	}
	for key := range leaves(reflect.ValueOf(Config{}), "") {
		if !has(shown, key) {
			t.Errorf("the sample lacks %s", key)
		}
	}
	users, _ := examples["users"].([]any)
	if len(users) != 1 {
		t.Fatalf("no example of a user: %v", examples["users"])
	}
	for _, key := range configfile.Keys(reflect.TypeFor[User]()).Names {
		if first, _ := users[0].(map[string]any); !has(first, key) {
			t.Errorf("the example of a user lacks %s", key)
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

func TestSampleExplainsEveryKey(t *testing.T) {
	t.Parallel()
	key := regexp.MustCompile(`^ *(#: *)?(- )?\w+:`)
	before := ""
	for line := range strings.Lines(readSample(t)) {
		explained := strings.HasPrefix(strings.TrimSpace(before), "#")
		example := strings.HasPrefix(strings.TrimSpace(line), "#:")
		if key.MatchString(line) && !example && !explained {
			t.Errorf("no comment before %q", line)
		}
		before = line
	}
}

func TestSampleExamplesAreGood(t *testing.T) {
	t.Parallel()
	text := withExamples(readSample(t))
	if regexp.MustCompile(`(?m)^ *#:`).MatchString(text) {
		t.Error("an example is left out")
	}
	c, err := configfile.Parse[Config](samplePath, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Users) != 1 || len(c.Numbers) != 2 || len(c.Listen.Advertise) != 1 {
		t.Errorf("examples not read: %+v", c)
	}
}

func TestRequiredKeys(t *testing.T) {
	t.Parallel()
	_, err := configfile.Parse[Config]("c.yaml", nil)
	for _, key := range required {
		name, _, _ := strings.Cut(key, ".")
		if err == nil || !strings.Contains(err.Error(), "c.yaml: "+name+": ") {
			t.Errorf("nothing about %s: %v", name, err)
		}
	}
}
