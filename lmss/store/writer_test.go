package store

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mss-federation/mss/lmss/cdr"
)

// TestWhatWaitsIsCommittedTogether holds the writer back: what came meanwhile is one commit, and of one
// call only the newest state is written.
func TestWhatWaitsIsCommittedTogether(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), Options{})
	var answers []string
	done := func(name string) func(error) {
		return func(err error) { answers = append(answers, fmt.Sprint(name, err)) }
	}
	for n := range 3 {
		must(t, s.SaveCall("c1", []byte(fmt.Sprint("state ", n)), record(1), done(fmt.Sprint("save ", n, " "))))
	}
	must(t, s.SaveCall("c2", nil, record(2), done("c2 ")))
	must(t, s.CloseCall("c2", record(2), done("close ")))
	stop := run(t, s)
	must(t, stop())
	expect(t, "answers", answers, []string{"save 0 <nil>", "save 1 <nil>", "save 2 <nil>", "c2 <nil>", "close <nil>"})
	expect(t, "commits", s.Stats().Commits, int64(1))
	calls, err := s.LoadCalls()
	must(t, err)
	expect(t, "calls", calls, []StoredCall{{"c1", []byte("state 2"), record(1)}})
}

// TestAFailedBatchGoesUnderTheQueue keeps the newest state of what came while its commit failed.
func TestAFailedBatchGoesUnderTheQueue(t *testing.T) {
	t.Parallel()
	failed, queue := newBatch(), newBatch()
	failed.calls["both"], failed.calls["old"] = callWrite{data: []byte("old")}, callWrite{data: []byte("old")}
	failed.bindings[putBindings("4001")[0].Binding.ID()] = putBindings("4001")[0]
	failed.note(nil)
	queue.calls["both"] = callWrite{over: true}
	queue.closed["record"] = record(1)
	queue.note(nil)
	queue.putUnder(failed)
	expect(t, "calls", queue.calls, map[string]callWrite{"both": {over: true}, "old": {data: []byte("old")}})
	if len(queue.closed) != 1 || len(queue.bindings) != 1 || queue.since != failed.since {
		t.Errorf("the queue: %+v", queue)
	}
}

// TestPendingFor shows what the 250 ms rule of call control looks at.
func TestPendingFor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(dir, Options{ReserveBytes: -1})
		must(t, err)
		defer func() { must(t, s.Close()) }()
		expect(t, "at rest", s.PendingFor(), time.Duration(0))
		must(t, s.SaveCall("c1", nil, record(1), nil))
		<-time.After(200 * time.Millisecond)
		must(t, s.SaveCall("c2", nil, record(1), nil))
		<-time.After(100 * time.Millisecond)
		expect(t, "waiting", s.PendingFor(), 300*time.Millisecond)
		taken := s.take() // a commit is running
		must(t, s.SaveCall("c3", nil, record(1), nil))
		<-time.After(50 * time.Millisecond)
		expect(t, "in a commit", s.PendingFor(), 350*time.Millisecond)
		s.release(taken)
		expect(t, "after it", s.PendingFor(), 50*time.Millisecond)
	})
}

func TestManyWriters(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), Options{CheckpointBytes: 256 << 10})
	stop := run(t, s)
	var all sync.WaitGroup
	for w := range 16 {
		all.Go(func() {
			for n := range 20 {
				r := record(n)
				r.ID = cdr.ID(fmt.Sprintf("%d-%d", w, n))
				id := string(r.ID)
				if err := await(func(done func(error)) error { return s.SaveCall(id, make([]byte, 2500), r, done) }); err != nil {
					t.Error(err)
				}
				if err := await(func(done func(error)) error { return s.CloseCall(id, r, done) }); err != nil {
					t.Error(err)
				}
				if _, err := s.QueryCDRs(RecordFilter{Limit: 3}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	must(t, stop())
	records, err := s.QueryCDRs(RecordFilter{Limit: -1})
	must(t, err)
	calls, err := s.LoadCalls()
	must(t, err)
	if len(records) != 320 || len(calls) != 0 {
		t.Errorf("%d records, %d calls; want 320 and none", len(records), len(calls))
	}
}

// BenchmarkGroupCommit has 64 calls that each wait for their record before they go on.
func BenchmarkGroupCommit(b *testing.B) {
	s := open(b, b.TempDir(), Options{})
	run(b, s)
	var writers atomic.Int64
	var mu sync.Mutex
	var worst time.Duration
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		id := fmt.Sprint("call-", writers.Add(1))
		data := make([]byte, 2500)
		for pb.Next() {
			began := time.Now()
			if err := await(func(done func(error)) error { return s.SaveCall(id, data, record(1), done) }); err != nil {
				b.Error(err)
			}
			took := time.Since(began)
			mu.Lock()
			worst = max(worst, took)
			mu.Unlock()
		}
	})
	b.ReportMetric(float64(worst.Milliseconds()), "worst-ms")
	b.ReportMetric(float64(b.N)/float64(s.Stats().Commits), "records/commit")
}

// BenchmarkCall is the store's part of one call: saved at the answer, closed at the end.
func BenchmarkCall(b *testing.B) {
	s := open(b, b.TempDir(), Options{})
	run(b, s)
	var all sync.WaitGroup
	room := make(chan struct{}, 64)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		r := record(n)
		id := string(r.ID)
		room <- struct{}{}
		all.Add(1)
		if err := s.SaveCall(id, make([]byte, 1500), r, func(error) {
			if err := s.CloseCall(id, r, func(error) { <-room; all.Done() }); err != nil {
				b.Error(err)
			}
		}); err != nil {
			b.Fatal(err)
		}
	}
	all.Wait()
}

func BenchmarkLoadBindings(b *testing.B) {
	s := open(b, b.TempDir(), Options{})
	stop := run(b, s)
	for n := range 10_000 {
		must(b, s.SaveBindings(putBindings(fmt.Sprint(n)), nil))
	}
	must(b, stop())
	for b.Loop() {
		if all, err := s.LoadBindings(); err != nil || len(all) != 10_000 {
			b.Fatal(len(all), err)
		}
	}
}

func TestCommitsKeepTheirPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), Options{})
		stop := run(t, s)
		synctest.Wait()
		start := time.Now()
		for i := range 5 {
			must(t, saved(t, func(done func(error)) error { return s.SaveCall("c", []byte("state"), record(i), done) }))
			if at, want := time.Since(start), time.Duration(i)*commitPace; at != want {
				t.Errorf("write %d was safe after %v, not %v", i, at, want)
			}
		}
		<-time.After(time.Second)
		start = time.Now()
		must(t, saved(t, func(done func(error)) error { return s.SaveCall("c", []byte("state"), record(9), done) }))
		if time.Since(start) != 0 {
			t.Errorf("a lone write waited %v", time.Since(start))
		}
		must(t, stop())
		must(t, s.Close())
	})
}
