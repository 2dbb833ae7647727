package routefile

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/exchange"
	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/federation"
)

var update = flag.Bool("update", false, "write testdata again")

// sample has everything that a route can have, and more routes than fit into a chunk.
func sample(count int) (Head, []Route) {
	saved := time.Date(2025, 4, 7, 12, 0, 0, 0, time.UTC)
	head := Head{Domain: "example.org", Self: "hub/a", Saved: saved, Neighbours: []Neighbour{
		{Node: "hub/b", Resume: exchange.Resume{Epoch: 7, Version: 12}, Heard: saved},
		{Node: "site/london", Heard: saved.Add(-time.Minute)},
	}}
	rich := &federation.Attributes{
		Origin:  federation.Origin{Node: "site/hongkong", Site: "hongkong", Epoch: 3, Seq: 4, Group: "asia"},
		AdvPath: []federation.PathElement{{Node: "site/hongkong", Epoch: 3}, {Node: "hub/b", Epoch: 7}}, RoutedPath: []federation.NodeID{"hub/b"},
		NextHops:    []federation.NextHop{{Node: "hub/b", Weight: 2}},
		Communities: []federation.Community{federation.NoPSTNHairpin},
		Media:       federation.MediaCaps{Codecs: []string{"G722"}, VoiceDirect: true},
		Fallback:    federation.Fallback{E164: "+15550100", Strip: 1}, Capacity: federation.Capacity{MaxCalls: 30},
		Cost: 1, Priority: 2, ValidUntil: saved.Add(24 * time.Hour), Emergency: true,
		Authorised: []string{"noa-1"}, Bundle: []byte{1}, Signature: []byte{2},
	}
	plain := &federation.Attributes{Origin: federation.Origin{Node: "site/london", Site: "london", Epoch: 1}, NextHops: []federation.NextHop{{Node: "site/london"}}}
	var routes []Route
	for i := range count {
		n := federation.NLRI{Domain: "example.org", Family: federation.Enterprise, Key: fmt.Sprintf("1%05d", i), MinLen: 6, MaxLen: 6}
		routes = append(routes,
			Route{"hub/b", federation.Route{NLRI: n, PathID: 1, Attributes: rich, Revisions: []uint64{5, uint64(i)}}},
			Route{"site/london", federation.Route{NLRI: n, PathID: 2, Attributes: plain, Revisions: []uint64{6}}})
	}
	return head, routes
}

// read gives what is in a file.
func read(path string) (head Head, routes []Route, err error) {
	err = Read(path, func(h Head) error { head = h; return nil }, func(r []Route) { routes = append(routes, r...) })
	return head, routes, err
}

func TestWriteAndRead(t *testing.T) {
	t.Parallel()
	head, routes := sample(3 * chunkSize / 4)
	path := filepath.Join(t.TempDir(), "routes")
	strange := Route{Neighbour: "site/unknown", Route: routes[0].Route}
	if err := Write(path, head, slices.Values(append([]Route{strange}, routes...))); err != nil {
		t.Fatal(err)
	}
	gotHead, got, err := read(path)
	if err != nil || !reflect.DeepEqual(gotHead, head) || !reflect.DeepEqual(got, routes) {
		t.Fatalf("%v: %+v and %d routes, want %+v and %d", err, gotHead, len(got), head, len(routes))
	}
	if got[0].Attributes != got[len(got)-2].Attributes {
		t.Error("shared attributes came back many times")
	}
}

// Every version reads what earlier ones wrote.
func TestReadsReleasedFormats(t *testing.T) {
	t.Parallel()
	head, routes := sample(2)
	path := filepath.Join("testdata", "routes-1")
	if *update {
		if err := Write(path, head, slices.Values(routes)); err != nil {
			t.Fatal(err)
		}
	}
	gotHead, got, err := read(path)
	if err != nil || !reflect.DeepEqual(gotHead, head) || !reflect.DeepEqual(got, routes) {
		t.Errorf("%v: %+v, %+v", err, gotHead, got)
	}
}

func TestUnfitFiles(t *testing.T) {
	t.Parallel()
	head, routes := sample(2)
	path := filepath.Join(t.TempDir(), "routes")
	if err := Write(path, head, slices.Values(routes)); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		content string
		kind    fault.Kind
		want    string
	}{
		"empty":       {"", fault.Invalid, "checksum"},
		"cut off":     {string(whole[:len(whole)-1]), fault.Invalid, "checksum"},
		"a bit wrong": {strings.Replace(string(whole), "hongkong", "hongkang", 1), fault.Invalid, "checksum"},
	} {
		broken := filepath.Join(t.TempDir(), "routes")
		if err := os.WriteFile(broken, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, got, err := read(broken); fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) || got != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, _, err := read(path + "-none"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("no file: %v", err)
	}
	refuse := func(Head) error { return fault.New("test", fault.Conflict, "a", "another domain") }
	if err := Read(path, refuse, func([]Route) { t.Error("routes of a refused file") }); err == nil {
		t.Error("a refused head passed")
	}
}
