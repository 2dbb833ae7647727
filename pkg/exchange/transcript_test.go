package exchange

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	exchangev1 "github.com/mss-federation/mss/proto/mss/exchange/v1"
)

var update = flag.Bool("update", false, "write the transcripts again; read them as a diff")

// conversation plays a transcript: a site and its hub, frame by frame.
type conversation struct {
	*pair
	books map[string]*Book
	notes map[string]Resume
	out   bytes.Buffer
}

// TestTranscripts plays testdata/*.txt. A block is a command, "----", and what it made both ends say.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c := &conversation{books: map[string]*Book{"site": NewBook("site/london", 7), "hub": NewBook("hub/a", 3)}, notes: map[string]Resume{}}
			c.connect(t)
			got := c.play(t, want)
			if *update {
				if err := os.WriteFile(file, got, 0o600); err != nil {
					t.Fatal(err)
				}
			} else if !bytes.Equal(got, want) {
				t.Errorf("%s is\n%s\nwant\n%s", file, got, want)
			}
		})
	}
}

// connect makes new sessions out of what is remembered of the last ones.
func (c *conversation) connect(tb testing.TB) {
	tb.Helper()
	site, hub := siteConfig(), hubConfig()
	site.Resume, hub.Resume = c.notes["site"], c.notes["hub"]
	old := c.pair
	c.pair = newPair(tb, site, hub, c.books["site"], c.books["hub"])
	if old != nil {
		c.now, c.a.sink, c.b.sink = old.now, old.a.sink, old.b.sink
	}
	c.a.log = func(f *exchangev1.Frame) { fmt.Fprintf(&c.out, "site -> %s\n", frameText(f)) }
	c.b.log = func(f *exchangev1.Frame) { fmt.Fprintf(&c.out, "hub  -> %s\n", frameText(f)) }
}

func (c *conversation) play(tb testing.TB, script []byte) []byte {
	tb.Helper()
	var result bytes.Buffer
	inOutput := false
	for scanner := bufio.NewScanner(bytes.NewReader(script)); scanner.Scan(); {
		line := scanner.Text()
		switch {
		case line == "":
			inOutput = false
		case strings.HasPrefix(line, "#"):
			if !inOutput {
				result.WriteString(line + "\n")
			}
		case line == "----":
			inOutput = true
		case !inOutput:
			c.out.Reset()
			c.command(tb, strings.Fields(line))
			fmt.Fprintf(&result, "%s\n----\n%s\n", line, c.out.String())
		}
	}
	return bytes.TrimSuffix(result.Bytes(), []byte("\n"))
}

func (c *conversation) command(tb testing.TB, words []string) {
	tb.Helper()
	switch words[0] {
	case "start":
		c.start()
	case "site", "hub": // sets what that end announces
		c.books[words[0]].Set(london(words[1:]...))
		c.end(words[0]).handle(Changed{}, c.now)
		c.settle()
	case "wait":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			tb.Fatal(err)
		}
		c.wait(d)
	case "silence": // both ends live on and hear nothing
		d, err := time.ParseDuration(words[1])
		if err != nil {
			tb.Fatal(err)
		}
		c.now = c.now.Add(d)
		c.a.handle(Tick{}, c.now)
		c.b.handle(Tick{}, c.now)
	case "cut": // the stream breaks; both ends remember
		c.notes["site"], c.notes["hub"] = c.a.session.Resume(), c.b.session.Resume()
		c.connect(tb)
	case "ask":
		c.b.handle(RequestRefresh{Family: federation.Enterprise, Filter: strings.Join(words[1:], "")}, c.now)
		c.settle()
	case "stop":
		c.b.handle(Stop{Code: exchangev1.CeaseCode_CEASE_CODE_SHUTDOWN, Text: "the hub restarts", Graceful: true, Restart: time.Minute}, c.now)
		c.settle()
	case "directory":
		c.b.handle(DirectoryChanged{Hubs: []Hub{{ID: "a", GRPC: words[1]}}}, c.now)
		c.settle()
	case "policy":
		c.a.handle(PolicyChanged{}, c.now)
		c.settle()
	case "table":
		fmt.Fprintf(&c.out, "hub has %s\n", c.b.list())
	default:
		tb.Fatalf("unknown command %q", words[0])
	}
	for _, name := range []string{"site", "hub"} {
		if e := c.end(name); e.over != nil && !e.told {
			e.told = true
			fmt.Fprintf(&c.out, "%s ends: %v\n", name, e.over.Err())
		}
	}
}

func (c *conversation) end(name string) *end {
	if name == "site" {
		return c.a
	}
	return c.b
}
