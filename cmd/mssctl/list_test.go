package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	lmssv1 "github.com/mss-federation/mss/proto/mss/lmss/v1"
)

// crowd answers with users without end, or until it has sent as many as it should. It stops after a thousand until it is
// told that the first of them were seen.
type crowd struct {
	lmssv1.UnimplementedUsersServer

	users int
	seen  chan struct{}
}

func (c *crowd) ListUsers(_ *lmssv1.ListUsersRequest, to grpc.ServerStreamingServer[lmssv1.ListUsersResponse]) error {
	for i := range c.users {
		if i == 1000 {
			select {
			case <-c.seen:
			case <-to.Context().Done():
				return to.Context().Err()
			}
		}
		if err := to.Send(&lmssv1.ListUsersResponse{User: &lmssv1.User{Name: fmt.Sprintf("user-%06d", i), DisplayName: strings.Repeat("x", 200)}}); err != nil {
			return err
		}
	}
	return nil
}

// reader looks at what comes and keeps none of it.
type reader struct {
	began func()
	lines int
	heap  uint64 // the most that was in use
	last  []byte
}

func (r *reader) Write(p []byte) (int, error) {
	if r.began != nil && bytes.Contains(p, []byte("user-000000")) {
		r.began()
		r.began = nil
	}
	before := r.lines / 20000
	r.lines += bytes.Count(p, []byte{'\n'})
	if r.lines/20000 != before {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		r.heap = max(r.heap, m.HeapAlloc)
	}
	r.last = append(r.last[:0], p...)
	return len(p), nil
}

// A list of 100 000 begins while the node is still sending, and is never in memory as a whole.
//
//nolint:paralleltest // other tests' memory is not this one's
func TestLongListIsStreamed(t *testing.T) {
	const bound = 4 << 20 // the objects alone are 30 MB, and 6 of JSON; YAML is slow, and shows here only that it begins at once
	for f, users := range map[format]int{formatTable: 100_000, formatJSON: 20_000, formatYAML: 5_000} {
		began := time.Now()
		c := &crowd{users: users, seen: make(chan struct{})}
		socket := serve(t, func(r grpc.ServiceRegistrar) { lmssv1.RegisterUsersServer(r, c) })
		out := &reader{began: func() { close(c.seen) }}
		a := &app{in: strings.NewReader(""), out: out, errOut: io.Discard, env: func(string) string { return "" }, now: time.Now}
		if err := a.run(t.Context(), []string{"--socket", socket, "--timeout", "20s", "user", "list", "-o", string(f)}); err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		if out.lines < users {
			t.Errorf("%s: %d lines", f, out.lines)
		}
		if out.heap > bound {
			t.Errorf("%s: %d MB in use", f, out.heap>>20)
		}
		t.Logf("%s: %v, %d lines, at most %d MB in use", f, time.Since(began), out.lines, out.heap>>20)
	}
}

// A list that breaks off is not closed, shows what came, and says why.
func TestListThatBreaksOff(t *testing.T) {
	t.Parallel()
	c := &crowd{users: 1001, seen: make(chan struct{})} // nobody says that anything was seen: the node falls silent
	socket := serve(t, func(r grpc.ServiceRegistrar) { lmssv1.RegisterUsersServer(r, c) })
	for _, f := range formats() {
		r := run(t, nil, "", "--socket", socket, "--timeout", "300ms", "user", "list", "-o", f)
		if r.code != exitUnavailable || !strings.Contains(r.errOut, "the node said nothing for 300ms") || !strings.Contains(r.out, "user-000999") {
			t.Errorf("%s: exit %d, %s, %d bytes", f, r.code, r.errOut, len(r.out))
		}
		var objects []any
		if f == string(formatJSON) && json.Unmarshal([]byte(r.out), &objects) == nil {
			t.Error("what was cut off passes for the whole")
		}
	}
}

// A reader who takes his time does not make the node's silence.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	c := &crowd{users: 1001, seen: make(chan struct{})}
	socket := serve(t, func(r grpc.ServiceRegistrar) { lmssv1.RegisterUsersServer(r, c) })
	var lines int
	slow := writer(func(p []byte) (int, error) {
		if lines++; lines == 2 {
			<-time.After(400 * time.Millisecond)
			close(c.seen) // the last one is sent afterwards
		}
		return len(p), nil
	})
	a := &app{in: strings.NewReader(""), out: slow, errOut: io.Discard, env: func(string) string { return "" }, now: time.Now}
	if err := a.run(t.Context(), []string{"--socket", socket, "--timeout", "200ms", "user", "list"}); err != nil || lines != 1002 {
		t.Errorf("%d lines, %v", lines, err)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }
