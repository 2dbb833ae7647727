package store

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/mss-federation/mss/pkg/fault"
)

func openNotes(tb testing.TB, path string, bound int64) *Notes {
	tb.Helper()
	n, err := OpenNotes(path, bound)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { must(tb, n.Close()) })
	return n
}

// loaded is the notes as a map.
func loaded(tb testing.TB, n *Notes) map[string]string {
	tb.Helper()
	all, err := n.Load()
	must(tb, err)
	m := map[string]string{}
	for _, note := range all {
		if _, ok := m[note.ID]; ok {
			tb.Errorf("note %s twice", note.ID)
		}
		m[note.ID] = string(note.Data)
	}
	return m
}

func TestNotesComeBack(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "notes")
	n := openNotes(t, path, 1<<20)
	must(t, n.Put("a", []byte("one")))
	must(t, n.Put("b", []byte("two")))
	must(t, n.Put("a", []byte("three")))
	must(t, n.Put("empty", nil))
	must(t, n.Drop("b"))
	must(t, n.Drop("nobody"))
	want := map[string]string{"a": "three", "empty": ""}
	expect(t, "notes", loaded(t, n), want)
	again := openNotes(t, path, 1<<20) // as after kill -9: nothing was closed
	expect(t, "notes of the next process", loaded(t, again), want)
	must(t, again.Put("c", []byte("four")))
	want["c"] = "four"
	expect(t, "notes of the third process", loaded(t, openNotes(t, path, 1<<20)), want)
}

// TestNotesTornAnywhere cuts the file at each byte and flips each byte: what comes before is there, and
// the file can be written again.
func TestNotesTornAnywhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := openNotes(t, filepath.Join(dir, "whole"), 1<<20)
	var ends []int64 // of each record
	for i := range 5 {
		must(t, n.Put(fmt.Sprint("call-", i), bytes.Repeat([]byte{byte(i)}, 10*i)))
		ends = append(ends, n.mu.size)
	}
	whole, err := os.ReadFile(filepath.Join(dir, "whole"))
	must(t, err)
	check := func(what string, text []byte, at int) {
		path := filepath.Join(dir, "torn")
		must(t, os.WriteFile(path, text, 0o600))
		torn, err := OpenNotes(path, 1<<20)
		must(t, err)
		intact := 0
		for intact < len(ends) && ends[intact] <= int64(at) {
			intact++
		}
		if got := loaded(t, torn); len(got) != intact {
			t.Errorf("%s at %d: %d notes, want %d", what, at, len(got), intact)
		}
		must(t, torn.Put("next", []byte("x")))
		must(t, torn.Close())
		torn, err = OpenNotes(path, 1<<20)
		must(t, err)
		if got := loaded(t, torn); len(got) != intact+1 || got["next"] != "x" {
			t.Errorf("%s at %d: after writing again %d notes, want %d", what, at, len(got), intact+1)
		}
		must(t, torn.Close())
	}
	for at := range whole {
		check("torn", whole[:at], at)
		flipped := bytes.Clone(whole)
		flipped[at] ^= 0x80
		check("flipped", flipped, at)
	}
}

func TestNotesStaySmall(t *testing.T) {
	t.Parallel()
	const bound = 4 << 20
	path := filepath.Join(t.TempDir(), "notes")
	n := openNotes(t, path, bound)
	data := bytes.Repeat([]byte("x"), 1000)
	must(t, n.Put("stays", []byte("here")))
	largest := int64(0)
	for i := range 20_000 {
		must(t, n.Put(fmt.Sprint(i), data))
		if i >= 100 {
			must(t, n.Drop(fmt.Sprint(i-100)))
		}
		largest = max(largest, n.mu.size)
	}
	if largest > bound {
		t.Errorf("the file grew to %d bytes", largest)
	}
	for name, notes := range map[string]*Notes{"live": n, "reopened": openNotes(t, path, bound)} {
		got := loaded(t, notes)
		if len(got) != 101 || got["stays"] != "here" || got["19950"] != string(data) {
			t.Errorf("%s: %d notes are left", name, len(got))
		}
	}
}

func TestNotesAreBounded(t *testing.T) {
	t.Parallel()
	n := openNotes(t, filepath.Join(t.TempDir(), "notes"), 20_000)
	var err error
	stored := 0
	for ; err == nil; stored++ {
		err = n.Put(fmt.Sprint(stored), make([]byte, 1000))
	}
	if fault.KindOf(err) != fault.Exhausted || stored != 10 {
		t.Errorf("note %d: %v", stored, err)
	}
	must(t, n.Drop("3"))
	must(t, n.Put("again", make([]byte, 1000)))
	if err := n.Put("big", make([]byte, 2<<20)); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a note of 2 MB: %v", err)
	}
}

func TestNotesFromSeveralWorkers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "notes")
	n := openNotes(t, path, 1<<20)
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for i := range 500 {
				id := fmt.Sprint(w, "-", i)
				if err := n.Put(id, make([]byte, 300)); err != nil {
					t.Error(err)
				}
				if i%10 != 0 {
					if err := n.Drop(id); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	if got := len(loaded(t, openNotes(t, path, 1<<20))); got != 400 {
		t.Errorf("%d notes, want 400", got)
	}
}

func FuzzNotes(f *testing.F) {
	f.Add(appendNote(appendNote(nil, "a", []byte("x"), false), "a", nil, true))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "notes")
		must(t, os.WriteFile(path, text, 0o600))
		n := openNotes(t, path, 1<<20)
		loaded(t, n)
		if n.mu.used < 0 || n.mu.used > n.mu.size {
			t.Errorf("%d bytes are live of %d", n.mu.used, n.mu.size)
		}
	})
}

func BenchmarkNotes(b *testing.B) {
	n := openNotes(b, filepath.Join(b.TempDir(), "notes"), 16<<20)
	data := make([]byte, 600)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		id := fmt.Sprint(i)
		if err := n.Put(id, data); err != nil {
			b.Fatal(err)
		}
		if err := n.Drop(id); err != nil {
			b.Fatal(err)
		}
	}
}
