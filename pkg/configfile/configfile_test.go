package configfile

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
)

type sample struct {
	Name   string            `yaml:"name"`
	Listen sampleListen      `yaml:"listen"`
	Limit  int               `yaml:"limit"`
	Wait   time.Duration     `yaml:"wait"`
	Trace  Size              `yaml:"trace"`
	Ports  PortRange         `yaml:"ports"`
	Anchor Toggle            `yaml:"anchor"`
	Users  []sampleUser      `yaml:"users"`
	Labels map[string]string `yaml:"labels"`
	Secret string            `yaml:"-"`
	Share  float64           `yaml:"share"`
	Count  uint8             `yaml:"count"`
	Plain  bool
}

type sampleListen struct {
	UDP []netip.AddrPort          `yaml:"udp"`
	NAT map[netip.Addr]netip.Addr `yaml:"nat"`
}

type sampleUser struct {
	Name string    `yaml:"name"`
	From []Network `yaml:"from"`
}

func (s *sample) EnsureDefaults() {
	if s.Limit == 0 {
		s.Limit = 7
	}
	s.Anchor = s.Anchor.Or(On)
}

func (s *sample) Validate() error {
	var errs []error
	if s.Limit > 10 {
		errs = append(errs, At("limit", "%d is above 10", s.Limit))
	}
	for _, u := range s.Users {
		if u.Name == "" {
			errs = append(errs, At("users[1].name", "missing"))
		}
	}
	if s.Wait < 0 {
		errs = append(errs, errors.Join(At("wait", "negative")))
	}
	return errors.Join(errs...)
}

const good = `# a sample
name: 0044     # a text, whatever it looks like
limit: 3
wait: 1m30s
trace: 8MiB
ports: 16384-32766
anchor: false
share: 0.5
count: 255
plain: true
listen:
  udp: ["127.0.0.1:5060", "[2001:db8::1]:5060"]
  nat:
    192.0.2.1: 203.0.113.1
users:
  - name: 4001
    from: [192.0.2.7, 198.51.100.0/24, "2001:db8::/32"]
  - {name: 1e5}
  - name: "true"
labels:
  a: b
  c: |
    two
    lines
`

func TestParse(t *testing.T) {
	t.Parallel()
	v, err := Parse[sample]("s.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if v.Name != "0044" || v.Limit != 3 || v.Wait != 90*time.Second || v.Trace != 8<<20 || v.Share != 0.5 ||
		v.Count != 255 || !v.Plain || v.Anchor != Off || v.Ports != (PortRange{16384, 32766}) {
		t.Errorf("scalars: %+v", v)
	}
	if len(v.Listen.UDP) != 2 || v.Listen.UDP[1] != netip.MustParseAddrPort("[2001:db8::1]:5060") ||
		v.Listen.NAT[netip.MustParseAddr("192.0.2.1")] != netip.MustParseAddr("203.0.113.1") {
		t.Errorf("listen: %+v", v.Listen)
	}
	if len(v.Users) != 3 || v.Users[0].Name != "4001" || v.Users[1].Name != "1e5" || v.Users[2].Name != "true" ||
		v.Users[0].From[0].String() != "192.0.2.7/32" || v.Users[0].From[2].String() != "2001:db8::/32" {
		t.Errorf("users: %+v", v.Users)
	}
	if v.Labels["a"] != "b" || v.Labels["c"] != "two\nlines\n" {
		t.Errorf("labels: %q", v.Labels)
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# nothing\n", "limit:\n", "---\n"} {
		v, err := Parse[sample]("s.yaml", []byte(text))
		if err != nil || v.Limit != 7 || !v.Anchor.On() {
			t.Errorf("%q: %+v, %v", text, v, err)
		}
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"typo", "name: a\nlimt: 3\n", `s.yaml:2:1: unknown key "limt"; did you mean "limit"?`},
		{"case", "Name: a\n", `s.yaml:1:1: unknown key "Name"; did you mean "name"?`},
		{"nested", "listen:\n  upd: []\n", `s.yaml:2:3: unknown key "upd" in listen; did you mean "udp"?`},
		{"no idea", "listen:\n  sockets: []\n", `s.yaml:2:3: unknown key "sockets" in listen; known here: nat, udp`},
		{"in a list", "users:\n  - name: a\n  - nme: b\n", `s.yaml:3:5: unknown key "nme" in users[1]; did you mean "name"?`},
		{"hidden", "secret: a\n", `s.yaml:1:1: unknown key "secret"; known here: anchor, `},
		{"doubled", "name: a\nlimit: 1\nname: b\n", `s.yaml:3:1: mapping key "name" already defined at [1:1]`},
		{"no unit", "wait: 5\n", `s.yaml:1:7: wait: "5": a time with its unit, such as 500ms, 20s or 5m, is wanted here`},
		{"address", "listen:\n  udp: [127.0.0.1]\n", `s.yaml:2:9: listen.udp[0]: "127.0.0.1": an address with a port, such as`},
		{"not a list", "listen:\n  udp: 127.0.0.1:5060\n", `s.yaml:2:8: listen.udp: "127.0.0.1:5060": a list is wanted here`},
		{"list", "limit: [1]\n", `s.yaml:1:8: limit: a whole number is wanted here, not a list`},
		{"keys", "limit: {a: 1}\n", `limit: a whole number is wanted here, not keys`},
		{"scalar for keys", "listen: 5060\n", `s.yaml:1:9: listen: "5060": a group of keys is wanted here`},
		{"fraction", "limit: 1.5\n", `s.yaml:1:8: limit: "1.5": a whole number is wanted here`},
		{"too large", "count: 256\n", `s.yaml:1:8: count: "256": a whole number from zero is wanted here`},
		{"switch", "anchor: maybe\n", `s.yaml:1:9: anchor: "maybe": true or false is wanted here`},
		{"size", "trace: 8\n", `s.yaml:1:8: trace: "8": a size with its unit`},
		{"ports", "ports: 9-8\n", `s.yaml:1:8: ports: "9-8": a range of ports`},
		{"network", "users: [{name: a, from: [192.0.2.7/24]}]\n", `users[0].from[0]: "192.0.2.7/24": the address has bits beyond the network; 192.0.2.0/24 is meant?`},
		{"map key", "listen:\n  nat: {x: 192.0.2.1}\n", `s.yaml:2:9: listen.nat: "x": an address, such as`},
		{"validated", "limit: 11\n", `s.yaml:1:8: limit: 11 is above 10`},
		{"validated, absent", "users:\n  - name: a\n  - from: []\n", `s.yaml:3:5: users[1].name: missing`},
		{"validated, joined", "wait: -1s\n", `s.yaml:1:7: wait: negative`},
		{"anchor", "name: &a b\n", `name: anchors, aliases and tags are not supported`},
		{"merge", "listen:\n  <<: {udp: []}\n", `s.yaml:2:3: listen: merge keys are not supported`},
		{"two documents", "name: a\n---\nname: b\n", `a second document; one file holds one`},
		{"not yaml", "name: [a\n", `s.yaml:1:7: `},
		{"tab", "listen:\n\tudp: []\n", `s.yaml:2:1: `},
		{"top", "- a\n", `s.yaml:1:1: a group of keys is wanted here, not a list`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse[sample]("s.yaml", []byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			var problem *Problem
			if fault.KindOf(err) != fault.Invalid || !errors.As(err, &problem) || problem.File != "s.yaml" {
				t.Errorf("kind %v, problem %v", fault.KindOf(err), problem)
			}
		})
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Parse[sample]("s.yaml", []byte("limt: 1\nwait: 5\nname: a\nshare: x\n"))
	for _, want := range []string{"s.yaml:1:1", "s.yaml:2:7", "s.yaml:4:8"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("lacks %s: %v", want, err)
		}
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "s.yaml")
	if err := os.WriteFile(path, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	v, data, err := Load[sample](path)
	if err != nil || string(data) != good || v.Limit != 3 {
		t.Errorf("Load: %+v, %v", v, err)
	}
	if err := Check[sample](path); err != nil {
		t.Error(err)
	}
	err = Check[sample](filepath.Join(dir, "missing.yaml"))
	if fault.KindOf(err) != fault.NotFound || !strings.Contains(err.Error(), "missing.yaml") {
		t.Errorf("missing file: %v", err)
	}
	if err := Check[sample](dir); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("directory: %v", err)
	}
	if err := os.WriteFile(path, make([]byte, MaxSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Check[sample](path); fault.KindOf(err) != fault.Invalid {
		t.Errorf("large file: %v", err)
	}
}

func TestValuesReadWhatTheyWrite(t *testing.T) {
	t.Parallel()
	for _, s := range []Size{0, 1, 1000, 1 << 10, 8 << 20, 3 << 30} {
		var back Size
		if err := back.UnmarshalText([]byte(s.String())); err != nil || back != s {
			t.Errorf("%s read as %d, %v", s, back, err)
		}
	}
	for text, want := range map[string]Size{"8MB": 8e6, "500kB": 500e3, "1 GiB": 1 << 30, "2GB": 2e9, "100B": 100} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%s read as %d, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "B", "-1B", "1", "1TB", "9999999999GiB", "1.5MB"} {
		if err := new(Size).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is no size", text)
		}
	}
	if r := (PortRange{1, 2}); r.String() != "1-2" {
		t.Error(r)
	}
	if On.String() != "true" || Off.String() != "false" {
		t.Error(On, Off)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("a: [b\n"))
	f.Add([]byte("? {a: b}\n: c\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<12 {
			return
		}
		v, err := Parse[sample]("s.yaml", data)
		if err == nil && v.Limit == 0 {
			t.Error("no defaults")
		}
	})
}
