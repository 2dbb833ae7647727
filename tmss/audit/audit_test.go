package audit

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/adminapi"
	"github.com/mss-federation/mss/tmss/enrol"
)

func open(t *testing.T, path string) *Log {
	t.Helper()
	l, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func lines(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// Records stay over restarts and follow each other; one that a crash cut short is gone.
func TestRecordsStay(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	l := open(t, path)
	record := adminapi.Record{At: time.Now(), Who: "ann", What: "add site london", After: `{"name":"london"}`}
	if err := errors.Join(l.Append(record), l.Refuse(record, errors.New("no quorum")), l.Close()); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(`{"v":1,"who":"cut sho`); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, path)
	if err := errors.Join(l.Audit(t.Context(), enrol.Entry{Who: "192.0.2.9:40000", What: "join", Refused: "spent"}), l.Close()); err != nil {
		t.Fatal(err)
	}
	got := lines(t, path)
	if len(got) != 3 || !strings.Contains(got[0], "add site london") || !strings.Contains(got[1], "no quorum") || !strings.Contains(got[2], "spent") {
		t.Errorf("lines %q", got)
	}
	if err := open(t, path).Close(); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// A line that was changed or taken out later shows.
func TestChangesShow(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func([]string) []string{
		"changed": func(l []string) []string { l[1] = strings.Replace(l[1], "ann", "bob", 1); return l },
		"removed": func(l []string) []string { return append(l[:1], l[2:]...) },
	} {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		l := open(t, path)
		for range 3 {
			if err := l.Append(adminapi.Record{Who: "ann", What: "something"}); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		text := strings.Join(change(lines(t, path)), "\n") + "\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A list has the newest records first, no more than were asked for, none from before, and why something did not happen.
func TestList(t *testing.T) {
	t.Parallel()
	l := open(t, filepath.Join(t.TempDir(), "audit.jsonl"))
	start := time.Now()
	record := adminapi.Record{Who: "ann", Before: "{}"}
	for i, what := range []string{"one", "two", "three", "four", "five"} {
		record.At, record.What = start.Add(time.Duration(i)*time.Hour), what
		if err := l.Append(record); err != nil {
			t.Fatal(err)
		}
	}
	list := func(since time.Time, limit int) (whats []string) {
		if err := l.List(since, limit, func(r adminapi.Record, refused string) error {
			whats = append(whats, r.Who+" "+r.What+refused)
			return nil
		}); err != nil {
			t.Error(err)
		}
		return whats
	}
	for _, c := range []struct {
		since time.Time
		limit int
		want  string
	}{
		{time.Time{}, 2, "ann five,ann four"},
		{time.Time{}, 9, "ann five,ann four,ann three,ann two,ann one"},
		{start.Add(3 * time.Hour), 9, "ann five,ann four"},
		{start.Add(9 * time.Hour), 9, ""},
	} {
		if got := strings.Join(list(c.since, c.limit), ","); got != c.want {
			t.Errorf("since %v, %d: %s, want %s", c.since, c.limit, got, c.want)
		}
	}
	if err := l.Refuse(record, errors.New("no quorum")); err != nil {
		t.Fatal(err)
	}
	if got := list(time.Time{}, 1); len(got) != 1 || got[0] != "ann fiveno quorum" {
		t.Errorf("refused: %v", got)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
