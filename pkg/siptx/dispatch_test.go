package siptx

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// withCallID gives a message another Call-ID and a branch of its own.
func withCallID(msg, callID string) string {
	msg = strings.Replace(msg, "Call-ID: call@example.org", "Call-ID: "+callID, 1)
	return strings.Replace(msg, "branch="+branchA, "branch="+branchA+strings.ReplaceAll(callID, "@", "-"), 1)
}

func TestOwnCallIDsComeHome(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{Workers: 12})
	for i := range 12 {
		w := r.stack.Worker(i)
		seen := make(map[string]bool)
		for range 50 {
			id := w.NewCallID()
			if seen[id] || r.stack.Home(id) != i {
				t.Fatalf("Call-ID %q of worker %d is at home with %d", id, i, r.stack.Home(id))
			}
			seen[id] = true
		}
	}
}

func TestForeignCallIDsSpread(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{Workers: 4})
	var count [4]int
	for i := range 4000 {
		home := r.stack.Home(strconv.Itoa(i) + "@192.0.2.1")
		if home != r.stack.Home(strconv.Itoa(i)+"@192.0.2.1") {
			t.Fatal("a Call-ID moved")
		}
		count[home]++
	}
	for i, n := range count {
		if n < 800 || n > 1200 {
			t.Errorf("worker %d has %d of 4000", i, n)
		}
	}
}

func TestBranches(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{Workers: 127})
	for _, i := range []int{0, 1, 126} {
		b := r.stack.Worker(i).NewBranch()
		got, ok := ParseBranch(b.AppendTo(nil))
		if !ok || got != b || got.worker() != i {
			t.Errorf("branch %s of worker %d reads as %s of %d, %t", b, i, got, got.worker(), ok)
		}
	}
	for _, other := range []string{"", "z9hG4bKmss", "z9hG4bK0123456789abcdef123", "z9hG4bKmss0123456789abcdeg", "z9hG4bKmss0123456789ABCDEF"} {
		if b, ok := ParseBranch([]byte(other)); ok {
			t.Errorf("%q reads as %s", other, b)
		}
	}
}

func TestQueueFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{Queue: 8}) // not running: 6 for anybody, 2 kept
		for i := range 6 {
			r.receive(udpFlow(), withCallID(request("OPTIONS", branchA, "", 1), fmt.Sprint("first", i)))
		}
		expect(t, "sent", r.starts())
		for _, method := range []string{"INVITE", "REGISTER", "OPTIONS", "ACK"} {
			r.receive(udpFlow(), withCallID(request(method, branchA, "", 1), "late"+method))
		}
		out := r.wire.take()
		if len(out) != 3 {
			t.Fatalf("sent %v", out)
		}
		for _, s := range out {
			after, err := strconv.Atoi(header(s.msg, "Retry-After"))
			if s.start() != "SIP/2.0 503 Service Unavailable" || err != nil || after < 1 || after > 5 {
				t.Errorf("sent %s", s.msg)
			}
		}
		r.receive(udpFlow(), withCallID(request("BYE", branchA, "", 1), "kept"))
		for range 3 { // no room is left: lost, not refused
			r.receive(udpFlow(), withCallID(request("BYE", branchA, "tag", 1), "full"))
			r.receive(udpFlow(), withCallID(response(outgoing("BYE", 1), 200, ""), "full"))
			r.receive(udpFlow(), withCallID(request("ACK", branchA, "tag", 1), "full"))
			r.receive(udpFlow(), "nonsense")
		}
		expect(t, "sent", r.starts())
		stats := r.stack.Stats()
		if stats.Overload != 3 || stats.Lost != 12 || stats.Workers[0].Waiting != 8 {
			t.Errorf("counted %d refused, %d lost, %d waiting", stats.Overload, stats.Lost, stats.Workers[0].Waiting)
		}
	})
}

// A worker that falls behind gets no new requests, long before its queue is full; after a stall without
// much traffic it does.
func TestQueueTooOld(t *testing.T) {
	t.Parallel()
	for waiting, want := range map[int]string{batch - 1: "", batch: "SIP/2.0 503 Service Unavailable"} {
		t.Run(fmt.Sprint(waiting), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Options{}) // not running
				for i := range waiting {
					r.receive(udpFlow(), withCallID(request("OPTIONS", branchA, "", 1), fmt.Sprint("early", i)))
				}
				sleep(251 * time.Millisecond)
				expect(t, "sent", r.starts())
				r.receive(udpFlow(), withCallID(request("BYE", branchA, "tag", 1), "kept"))
				r.receive(udpFlow(), withCallID(request("OPTIONS", branchA, "", 1), "late"))
				if got := strings.Join(r.starts(), ""); got != want {
					t.Errorf("sent %q, want %q", got, want)
				}
			})
		})
	}
}

func TestAdoptedCall(t *testing.T) {
	t.Parallel()
	bubble(t, Options{Workers: 2}, func(r *rig) {
		const id = "moved@example.org"
		home := r.stack.Home(id)
		other := 1 - home
		r.receive(udpFlow(), withCallID(request("INVITE", branchA, "", 1), id))
		r.stack.Adopt(id, other)
		// What belongs to the old owner's transaction stays with it.
		r.receive(udpFlow(), withCallID(request("CANCEL", branchA, "", 1), id))
		// What is new goes to the new owner, and so does what belongs to its transactions.
		r.receive(udpFlow(), withCallID(request("INVITE", branchA+"2", "tag", 2), id))
		r.receive(udpFlow(), withCallID(request("INVITE", branchA+"2", "tag", 2), id))
		r.receive(udpFlow(), withCallID(request("CANCEL", branchA+"2", "tag", 2), id))
		r.receive(udpFlow(), withCallID(request("ACK", branchA+"3", "tag", 3), id))
		expect(t, "the home is told", r.users[home].log, "request INVITE", "cancel")
		expect(t, "the adopter is told", r.users[other].log, "request INVITE", "cancel", "ack 3")
		r.stack.Release(id)
		r.receive(udpFlow(), withCallID(request("BYE", branchA+"4", "tag", 4), id))
		if log := r.users[home].log; log[len(log)-1] != "request BYE" {
			t.Errorf("after Release the home is told %q", log)
		}
	})
}

func TestResponseGoesToItsTransaction(t *testing.T) {
	t.Parallel()
	bubble(t, Options{Workers: 2}, func(r *rig) {
		// The Call-ID's home may be either worker; the transaction is on one.
		for i := range 2 {
			r.on(i, func(w *Worker) {
				branch := w.NewBranch()
				msg := outgoing("OPTIONS", branch)
				w.SendRequest(udpFlow(), "OPTIONS", branch, msg, r.users[i])
				r.users[i].note("sent")
				go r.stack.Receive(inbound(udpFlow(), response(msg, 200, "b")))
			})
			synctest.Wait()
			expect(t, "told", r.users[i].log, "sent", "response 200")
		}
	})
}

func TestStrayResponses(t *testing.T) {
	t.Parallel()
	bubble(t, Options{}, func(r *rig) {
		msg := outgoing("INVITE", r.stack.Worker(0).NewBranch())
		for _, status := range []int{180, 200, 486} {
			r.receive(udpFlow(), response(msg, status, "b"))
		}
		r.receive(udpFlow(), response(outgoing("BYE", 77), 200, "b"))
		foreign := strings.Replace(response(msg, 200, "b"), "z9hG4bKmss", "z9hG4bKxyz", 1)
		r.receive(udpFlow(), foreign)
		expect(t, "told", r.told(), "stray 200", "stray 486")
		expect(t, "sent", r.starts())
		if n := r.stack.Stats().Workers[0].Stray; n != 3 {
			t.Errorf("%d strays counted, want 3", n)
		}
	})
}

func TestTableFull(t *testing.T) {
	t.Parallel()
	bubble(t, Options{Transactions: 8}, func(r *rig) {
		for i := range 8 {
			r.receive(udpFlow(), withCallID(request("OPTIONS", branchA, "", 1), fmt.Sprint("id", i)))
		}
		expect(t, "new requests", r.starts(), "SIP/2.0 503 Service Unavailable", "SIP/2.0 503 Service Unavailable")
		for i := range 3 {
			r.receive(udpFlow(), withCallID(request("BYE", branchA, "tag", 1), fmt.Sprint("dialog", i)))
		}
		expect(t, "in dialogs", r.starts(), "SIP/2.0 503 Service Unavailable")
		for range 9 {
			r.start(udpFlow(), "OPTIONS")
		}
		told := r.told()
		if last := told[len(told)-1]; last != "error send OPTIONS: "+ErrTableFull.Error() || len(told) != 9 {
			t.Errorf("told %q", told)
		}
		sleep(40 * time.Second)
		r.empty()
	})
}

func TestPosts(t *testing.T) {
	t.Parallel()
	var stack *Stack
	ran := 0
	bubble(t, Options{Posts: 2}, func(r *rig) {
		stack = r.stack
		w := r.stack.Worker(0)
		r.on(0, func(w *Worker) {
			for range 2 {
				if err := w.Post(func() { ran++ }); err != nil {
					t.Errorf("post: %v", err)
				}
			}
			if err := w.Post(func() {}); !errors.Is(err, ErrBusy) {
				t.Errorf("a third post: %v", err)
			}
		})
		if w.Index() != 0 || ran != 2 {
			t.Errorf("%d posts ran", ran)
		}
		began := time.Now()
		r.on(0, func(w *Worker) {
			if !w.Now().Equal(began) {
				t.Errorf("now is %v, want %v", w.Now(), began)
			}
			w.After(time.Second, func() { ran = 100 })
			w.After(time.Second, func() { ran = 0 }).Stop()
		})
		sleep(time.Second)
		if ran != 100 {
			t.Error("the timer did not run")
		}
	})
	if err := stack.Worker(0).Post(func() {}); !errors.Is(err, ErrStopped) {
		t.Errorf("post after the end: %v", err)
	}
}
