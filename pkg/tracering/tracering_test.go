package tracering

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/siptransport"
)

var (
	start = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	udp   = siptransport.Flow{
		Transport: siptransport.UDP,
		Local:     netip.MustParseAddrPort("192.0.2.1:5060"),
		Remote:    netip.MustParseAddrPort("192.0.2.9:5062"),
	}
)

// options makes a message whose Call-ID has a known length.
func options(id string, padding int) []byte {
	return fmt.Appendf(nil, "OPTIONS sip:x@example.org SIP/2.0\r\nCall-ID: %s\r\nSubject: %s\r\n\r\n", id, strings.Repeat("x", padding))
}

func all(string) bool { return true }

func ids(entries []Entry) (out []string) {
	for i := range entries {
		out = append(out, entries[i].CallID)
	}
	return out
}

func TestFindReturnsWhatWasAdded(t *testing.T) {
	t.Parallel()
	r := New(2, 1<<16)
	tls := siptransport.Flow{
		Transport: siptransport.TLS, ID: 7,
		Local:  netip.MustParseAddrPort("[2001:db8::1]:5061"),
		Remote: netip.MustParseAddrPort("[2001:db8::2]:40000"),
	}
	later := start.Add(time.Millisecond)
	r.Add(1, false, tls, later, options("b@x", 0))
	r.Add(0, true, udp, start, options("a@x", 0))
	r.Add(1, true, udp, start, options("other", 0))

	got := r.Find(func(id string) bool { return id != "other" })
	if len(got) != 2 {
		t.Fatalf("found %v", ids(got))
	}
	first, second := got[0], got[1]
	if first.CallID != "a@x" || !first.Out || first.Flow != udp || !first.At.Equal(start) {
		t.Errorf("first: %+v", first)
	}
	if second.CallID != "b@x" || second.Out || second.Flow != tls || !second.At.Equal(later) {
		t.Errorf("second: %+v", second)
	}
	if !bytes.Equal(second.Message, options("b@x", 0)) {
		t.Errorf("message changed: %q", second.Message)
	}
}

// The oldest fall out, none is torn, and the ring never holds more than its size, whatever the sizes are.
func TestOldestFallOut(t *testing.T) {
	t.Parallel()
	const size = 4096
	r := New(1, size)
	for i := range 500 {
		id := fmt.Sprintf("call-%03d", i)
		r.Add(0, i%2 == 0, udp, start.Add(time.Duration(i)), options(id, i*37%400))
		got := r.Find(all)
		if len(got) == 0 || got[len(got)-1].CallID != id {
			t.Fatalf("after %s the newest is %v", id, ids(got))
		}
		first := i - len(got) + 1
		for j, e := range got {
			n := first + j
			if want := options(fmt.Sprintf("call-%03d", n), n*37%400); !bytes.Equal(e.Message, want) {
				t.Fatalf("entry %d is %q, want %q", j, e.Message, want)
			}
		}
		if used, _, _ := r.Usage(); used > size {
			t.Fatalf("%d bytes used of %d", used, size)
		}
	}
	if got := r.Find(all); len(got) < 5 {
		t.Errorf("only %d messages kept in %d bytes", len(got), size)
	}
}

// Workers read their clock once a batch: messages of one batch have one time and must stay in order.
func TestEqualTimesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	r := New(2, 1<<16)
	const messages, batch = 60, 20
	for worker := range 2 {
		for i := range messages {
			r.Add(worker, true, udp, start.Add(time.Duration(i/batch)), options(fmt.Sprintf("%d-%02d", worker, i), 0))
		}
	}
	var got [2][]string
	for i, e := range r.Find(all) {
		if want := start.Add(time.Duration(i / (2 * batch))); !e.At.Equal(want) {
			t.Fatalf("entry %d is from %v, want %v", i, e.At, want)
		}
		worker := int(e.CallID[0] - '0')
		got[worker] = append(got[worker], e.CallID)
	}
	for worker, ids := range got {
		if len(ids) != messages || !slices.IsSorted(ids) {
			t.Errorf("worker %d: %v", worker, ids)
		}
	}
}

func TestWhatDoesNotFitIsCounted(t *testing.T) {
	t.Parallel()
	r := New(1, 1000)
	r.Add(0, true, udp, start, options("small", 0))
	r.Add(0, true, udp, start, options("large", 2000))
	if got := ids(r.Find(all)); !slices.Equal(got, []string{"small"}) {
		t.Errorf("found %v", got)
	}
	if _, size, dropped := r.Usage(); dropped != 1 || size != 1000 {
		t.Errorf("dropped %d of %d bytes", dropped, size)
	}
}

func TestNothingKept(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]*Ring{"nil": nil, "negative": New(2, -1)} {
		r.Add(3, true, udp, start, options("x", 0))
		if got := r.Find(all); len(got) != 0 {
			t.Errorf("%s: found %v", name, ids(got))
		}
	}
}

func TestAddBesideFind(t *testing.T) {
	t.Parallel()
	r := New(2, 1<<15)
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Go(func() {
			for i := range 2000 {
				r.Add(w, true, udp, start.Add(time.Duration(i)), options(fmt.Sprint(i), i%100))
			}
		})
	}
	for range 50 {
		for _, e := range r.Find(all) {
			if !bytes.HasSuffix(e.Message, []byte("\r\n\r\n")) {
				t.Fatalf("torn: %q", e.Message)
			}
		}
	}
	wg.Wait()
}

func TestAddDoesNotAllocate(t *testing.T) {
	r := New(1, 1<<20)
	msg := options("x", 800)
	if n := testing.AllocsPerRun(1000, func() { r.Add(0, true, udp, start, msg) }); n != 0 {
		t.Errorf("%v allocations a message", n)
	}
}

func BenchmarkAdd(b *testing.B) {
	r := New(1, 0)
	msg := options("x", 800)
	b.ReportAllocs()
	for b.Loop() {
		r.Add(0, true, udp, start, msg)
	}
}
