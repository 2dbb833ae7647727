package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/mss-federation/mss/lmss/cdr"
)

// childVariable names what the test binary does when it is started as a child instead of testing.
const childVariable = "MSS_STORE_TEST_CHILD"

var children = map[string]func(dir string) error{}

func TestMain(m *testing.M) {
	if name := os.Getenv(childVariable); name != "" {
		if err := children[name](os.Args[len(os.Args)-1]); err != nil {
			fmt.Fprintln(os.Stdout, "FAILED", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child is the test binary, told to be one of children.
func child(name, dir string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], dir)
	cmd.Env = append(os.Environ(), childVariable+"="+name)
	cmd.Stderr = os.Stderr
	return cmd
}

func init() { children["writes"] = writeUntilKilled }

// writeUntilKilled makes calls for ever and prints a line for each thing that the store has said is safe.
func writeUntilKilled(dir string) error {
	s, err := Open(dir, Options{ReserveBytes: -1, CheckpointBytes: 64 << 10})
	if err != nil {
		return err
	}
	out := make(chan string, 1000)
	var workers sync.WaitGroup
	for w := range 8 {
		workers.Go(func() {
			for n := 0; ; n++ {
				if err := oneCall(s, fmt.Sprintf("%d-%d-%d", os.Getpid(), w, n), out); err != nil {
					out <- "FAILED " + err.Error()
				}
			}
		})
	}
	go func() {
		for line := range out {
			fmt.Fprintln(os.Stdout, line)
		}
	}()
	return s.Run(context.Background())
}

func oneCall(s *Store, id string, out chan<- string) error {
	r := record(1)
	r.ID = cdr.ID(id)
	if err := s.Notes().Put(id, []byte("note of "+id)); err != nil {
		return err
	}
	out <- "noted " + id
	if err := await(func(done func(error)) error { return s.SaveCall(id, make([]byte, 2500), r, done) }); err != nil {
		return err
	}
	out <- "saved " + id
	if err := s.Notes().Drop(id); err != nil {
		return err
	}
	out <- "dropped " + id
	if err := await(func(done func(error)) error { return s.CloseCall(id, r, done) }); err != nil {
		return err
	}
	out <- "closed " + id
	return nil
}

func await(write func(done func(error)) error) error {
	done := make(chan error, 1)
	if err := write(func(err error) { done <- err }); err != nil {
		return err
	}
	return <-done
}

// TestKilledAtAnyMoment kills a writing process again and again: what was acknowledged is there, once.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 1))
	t.Log("seed", seed)
	acknowledged := map[string]string{}
	for range 8 {
		killAfter(t, dir, 20+random.IntN(400), acknowledged)
		checkAcknowledged(t, dir, acknowledged)
	}
	if len(acknowledged) < 100 {
		t.Errorf("only %d calls were made", len(acknowledged))
	}
}

// killAfter runs a child until it has acknowledged so many things and notes the last one of each call.
func killAfter(t *testing.T, dir string, lines int, acknowledged map[string]string) {
	t.Helper()
	cmd := child("writes", dir)
	pipe, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	in := bufio.NewScanner(pipe)
	for n := 0; in.Scan(); n++ { // what is in the pipe after the kill was acknowledged too
		if n == lines {
			must(t, cmd.Process.Kill())
		}
		what, id, whole := strings.Cut(in.Text(), " ")
		if what == "FAILED" || !whole {
			t.Errorf("child: %s", in.Text())
		}
		acknowledged[id] = what
	}
	_, err = io.Copy(io.Discard, pipe)
	must(t, errors.Join(in.Err(), ignoreClosed(err)))
	if err := cmd.Wait(); err == nil {
		t.Error("the child ended before it was killed")
	}
}

func ignoreClosed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

func checkAcknowledged(t *testing.T, dir string, acknowledged map[string]string) {
	t.Helper()
	s, err := Open(dir, Options{ReserveBytes: -1})
	must(t, err)
	defer func() { must(t, s.Close()) }()
	up, records := map[string]bool{}, map[string]int{}
	calls, err := s.LoadCalls()
	must(t, err)
	for _, c := range calls {
		up[c.ID] = true
	}
	closed, err := s.QueryCDRs(RecordFilter{Limit: -1})
	must(t, err)
	for _, r := range closed {
		records[string(r.ID)]++
		if up[string(r.ID)] {
			t.Errorf("call %s is up and over", r.ID)
		}
	}
	notes := loaded(t, s.Notes())
	for id, last := range acknowledged {
		stored := up[id] || records[id] == 1
		switch {
		case last == "closed" && records[id] != 1:
			t.Errorf("call %s was closed; %d records", id, records[id])
		case (last == "saved" || last == "dropped") && !stored:
			t.Errorf("call %s was saved and is gone", id)
		case last == "noted" && notes[id] != "note of "+id && !stored:
			t.Errorf("call %s was noted: %q", id, notes[id])
		case (last == "dropped" || last == "closed") && notes[id] != "":
			t.Errorf("the note of call %s was dropped: %q", id, notes[id])
		}
	}
}
