package siptarget

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mss-federation/mss/pkg/fault"
)

// one is a question that a URI with a port asks.
var one = Question{"one.example.org", A}

var (
	toOne    = Query{Host: "one.example.org", Port: 5060}
	toNobody = Query{Host: "nobody.example.org", Port: 5060}
)

func TestAnswersAreRememberedForTheirTTL(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook(t, zone)
		b.records[one] = Answer{Addrs: b.records[one].Addrs, TTL: 10 * time.Second}
		nothing, soa := Question{"nobody.example.org", A}, Question{"soa.example.org", A}
		b.records[soa] = Answer{TTL: 30 * time.Second}
		b.records[Question{"long.example.org", A}] = Answer{TTL: 24 * time.Hour}
		r := resolver(t, Options{Lookup: b})
		check := func(q Question, want int) {
			t.Helper()
			_, err := r.Resolve(t.Context(), Query{Host: q.Name, Port: 5060})
			if got := b.times(q); got != want || q != one && fault.KindOf(err) != fault.NotFound {
				t.Errorf("%s: asked %d times, %v; want %d", q.Name, got, err, want)
			}
		}
		check(one, 1)
		<-time.After(9 * time.Second)
		check(one, 1)
		<-time.After(time.Second)
		check(one, 2)
		check(nothing, 1)
		check(nothing, 1)
		<-time.After(5 * time.Second)
		check(nothing, 2)
		check(soa, 1)
		<-time.After(29 * time.Second)
		check(soa, 1)
		<-time.After(time.Second)
		check(soa, 2)
		check(Question{"long.example.org", A}, 1)
		<-time.After(5 * time.Minute)
		check(Question{"long.example.org", A}, 2)
	})
}

func TestOldAnswerServesWhenNobodyAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook(t, zone)
		r := resolver(t, Options{Lookup: b, Stale: time.Hour})
		took := func(want time.Duration, kind fault.Kind) {
			t.Helper()
			begun := time.Now()
			_, err := r.Resolve(t.Context(), toOne)
			if got := time.Since(begun); got != want || fault.KindOf(err) != kind {
				t.Errorf("%v after %v; want %v after %v", err, got, kind, want)
			}
		}
		took(time.Second, 0)
		b.kill(errors.New("nobody answers"))
		<-time.After(30 * time.Minute)
		took(400*time.Millisecond, 0) // the old answer, after a little patience
		<-time.After(time.Second)
		took(0, 0) // the question failed meanwhile: nobody waits for a dead server again
		<-time.After(time.Hour)
		took(time.Second, fault.Unavailable)
		took(0, fault.Unavailable)
	})
}

// TestSlowServer has one that answers only after the resolution's time.
func TestSlowServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook(t, zone)
		b.slow = time.Hour
		r := resolver(t, Options{Lookup: b, Timeout: 2 * time.Second})
		begun := time.Now()
		if _, err := r.Resolve(t.Context(), Query{Host: "example.com"}); fault.KindOf(err) != fault.Timeout || time.Since(begun) != 2*time.Second {
			t.Errorf("%v after %v, want a timeout after 2s", err, time.Since(begun))
		}
	})
}

func TestOneQuestionForManyCallers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook(t, zone)
		r := resolver(t, Options{Lookup: b})
		impatient, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		results := make(chan error, 11)
		ask := func(ctx context.Context) {
			_, err := r.Resolve(ctx, toOne)
			results <- err
		}
		go ask(impatient) // begins the question, and gives up
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
		if got := b.times(one); got != 1 {
			t.Errorf("asked %d times, want 1", got)
		}
	})
}

func TestFindDoesNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook(t, zone)
		r := resolver(t, Options{Lookup: b, MaxWaiting: 1})
		if _, _, ok := r.Known(toOne); ok {
			t.Error("known before it was asked for")
		}
		type found struct {
			text string
			err  error
		}
		results := make(chan found, 2)
		done := func(targets []Target, err error) { results <- found{spelled(targets), err} }
		begun := time.Now()
		r.Find(toOne, done)
		synctest.Wait()
		r.Find(toNobody, done)
		if got := <-results; fault.KindOf(got.err) != fault.Exhausted || time.Since(begun) != 0 {
			t.Errorf("one too many: %+v after %v", got, time.Since(begun))
		}
		if got := <-results; got.err != nil || got.text != "udp 192.0.2.11:5060" {
			t.Errorf("%+v", got)
		}
		if got, err, ok := r.Known(toOne); !ok || err != nil || spelled(got) != "udp 192.0.2.11:5060" {
			t.Errorf("from memory: %v, %v, %v", got, err, ok)
		}
		r.Find(toNobody, done)
		if got := <-results; fault.KindOf(got.err) != fault.NotFound {
			t.Errorf("%+v", got)
		}
		if _, err, ok := r.Known(toNobody); !ok || fault.KindOf(err) != fault.NotFound {
			t.Errorf("no address, from memory: %v, %v", err, ok)
		}
	})
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := resolver(t, Options{Lookup: newBook(t, zone), MaxEntries: 10})
		for i := range 100 {
			_, _ = r.Resolve(t.Context(), Query{Host: fmt.Sprintf("n%d.example.org", i)}) // none has an address
		}
		if got := len(r.cache.entries); got != 10 {
			t.Errorf("%d answers are remembered, want 10", got)
		}
		if got := len(r.cache.flights); got != 0 {
			t.Errorf("%d questions are under way", got)
		}
	})
}

func TestCloseEndsQuestions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook(t, zone)
		b.slow = time.Hour
		r := New(Options{Lookup: b, Hosts: "-"})
		results := make(chan error, 2)
		r.Find(toOne, func(_ []Target, err error) { results <- err })
		synctest.Wait()
		begun := time.Now()
		r.Close()
		if time.Since(begun) != 0 {
			t.Errorf("close took %v", time.Since(begun))
		}
		r.Find(toOne, func(_ []Target, err error) { results <- err })
		for range 2 {
			if err := <-results; fault.KindOf(err) != fault.Unavailable {
				t.Errorf("after the end: %v", err)
			}
		}
	})
}
