package siptarget

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// book is a Lookup that the test writes. Each question takes a second.
type book struct {
	names map[string][]netip.Addr
	ttl   time.Duration
	dead  bool
	asked int
}

func (b *book) Addresses(ctx context.Context, host string) ([]netip.Addr, time.Duration, error) {
	b.asked++
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
	if b.dead {
		return nil, 0, errors.New("nobody answers")
	}
	return b.names[host], b.ttl, nil
}

var (
	one = netip.MustParseAddr("192.0.2.1")
	two = netip.MustParseAddr("2001:db8::2")
)

func TestTargets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := New(Options{Lookup: &book{names: map[string][]netip.Addr{"example.org": {one, two}}, ttl: time.Minute}})
		udp, tcp, tls := siptransport.UDP, siptransport.TCP, siptransport.TLS
		for _, tc := range []struct {
			q    Query
			want []Target
		}{
			{Query{Host: "192.0.2.1"}, []Target{{udp, netip.MustParseAddrPort("192.0.2.1:5060"), "192.0.2.1"}}},
			{Query{Host: "192.0.2.1", Port: 5070, Transport: tls}, []Target{{tls, netip.MustParseAddrPort("192.0.2.1:5070"), "192.0.2.1"}}},
			{Query{Host: "[2001:db8::2]", Transport: tls}, []Target{{tls, netip.MustParseAddrPort("[2001:db8::2]:5061"), "2001:db8::2"}}},
			{Query{Host: "2001:db8::2"}, []Target{{udp, netip.MustParseAddrPort("[2001:db8::2]:5060"), "2001:db8::2"}}},
			{Query{Host: "Example.ORG.", Transport: tcp}, []Target{
				{tcp, netip.MustParseAddrPort("192.0.2.1:5060"), "example.org"},
				{tcp, netip.MustParseAddrPort("[2001:db8::2]:5060"), "example.org"},
			}},
		} {
			if got, err := r.Resolve(t.Context(), tc.q); err != nil || !slices.Equal(got, tc.want) {
				t.Errorf("%+v: %v, %v; want %v", tc.q, got, err, tc.want)
			}
		}
		for host, want := range map[string]fault.Kind{"": fault.Invalid, ".": fault.Invalid, "nobody.example.org": fault.NotFound} {
			if got, err := r.Resolve(t.Context(), Query{Host: host}); fault.KindOf(err) != want {
				t.Errorf("%q: %v, %v; want %v", host, got, err, want)
			}
		}
	})
}

func TestAnswersAreRememberedForTheirTTL(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &book{names: map[string][]netip.Addr{"example.org": {one}}, ttl: 10 * time.Second}
		r := New(Options{Lookup: b})
		check := func(host string, wantAsked int, want fault.Kind) {
			t.Helper()
			if _, err := r.Resolve(t.Context(), Query{Host: host}); b.asked != wantAsked || (err != nil && fault.KindOf(err) != want) {
				t.Errorf("%s: asked %d times, %v; want %d", host, b.asked, err, wantAsked)
			}
		}
		check("example.org", 1, 0)
		<-time.After(9 * time.Second)
		check("example.org", 1, 0)
		<-time.After(time.Second)
		check("example.org", 2, 0)
		check("nobody.example.org", 3, fault.NotFound)
		check("nobody.example.org", 3, fault.NotFound)
		<-time.After(5 * time.Second)
		check("nobody.example.org", 4, fault.NotFound)
	})
}

func TestOldAnswerServesWhenNobodyAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &book{names: map[string][]netip.Addr{"example.org": {one}}, ttl: time.Second}
		r := New(Options{Lookup: b, Stale: time.Hour})
		resolve := func() error {
			_, err := r.Resolve(t.Context(), Query{Host: "example.org"})
			return err
		}
		if err := resolve(); err != nil {
			t.Fatal(err)
		}
		b.dead = true
		<-time.After(30 * time.Minute)
		if err := resolve(); err != nil {
			t.Error("an old answer is better than none:", err)
		}
		again := time.Now()
		if err := resolve(); err != nil || time.Since(again) != 0 {
			t.Errorf("the next call waited %v for a dead server, %v", time.Since(again), err)
		}
		<-time.After(time.Hour)
		if err := resolve(); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%v, want unavailable", err)
		}
	})
}

func TestOneLookupForManyCallers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &book{names: map[string][]netip.Addr{"example.org": {one}}, ttl: time.Minute}
		r := New(Options{Lookup: b})
		impatient, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		results := make(chan error, 11)
		ask := func(ctx context.Context) {
			_, err := r.Resolve(ctx, Query{Host: "example.org"})
			results <- err
		}
		go ask(impatient) // runs the first lookup, and gives up
		synctest.Wait()
		for range 10 {
			go ask(t.Context())
		}
		if err := <-results; fault.KindOf(err) != fault.Timeout {
			t.Errorf("impatient caller: %v", err)
		}
		for range 10 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if b.asked != 2 {
			t.Errorf("asked %d times, want 2", b.asked)
		}
	})
}

func TestLookupIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &book{names: map[string][]netip.Addr{"a.example.org": {one}, "b.example.org": {one}, "c.example.org": {two}}, ttl: time.Minute}
		r := New(Options{Lookup: b, MaxNames: 2, Timeout: 2 * time.Second})
		for host := range b.names {
			if _, err := r.Resolve(t.Context(), Query{Host: host}); err != nil {
				t.Error(err)
			}
		}
		if got := len(r.cache.names); got != 2 {
			t.Errorf("%d names are remembered, want 2", got)
		}
		slow := New(Options{Lookup: b, Timeout: time.Second / 2})
		if _, err := slow.Resolve(t.Context(), Query{Host: "a.example.org"}); fault.KindOf(err) != fault.Timeout {
			t.Errorf("%v, want a timeout", err)
		}
	})
}
