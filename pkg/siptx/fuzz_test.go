package siptx

import (
	"bytes"
	"testing"

	"github.com/mss-federation/mss/pkg/sipgate"
)

// FuzzMessage gives a worker any bytes: nothing panics, and what is sent back for a message that the gate lets
// through passes the gate too.
func FuzzMessage(f *testing.F) {
	for _, seed := range []string{
		request("INVITE", branchA, "", 1), request("ACK", branchA, "x", 1), request("CANCEL", branchA, "", 1),
		request("INVITE", "x", "", 1, "Timestamp: 7", "v: SIP / 2.0 / UDP [2001:db8::1] ;received=a, SIP/2.0/UDP b"),
		response(outgoing("INVITE", 1), 200, "b"), response(outgoing("INVITE", 1), 486, "b"), "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		r := newRig(t, Options{})
		r.users[0].onRequest = func(tx *ServerTx, _ *Request) { tx.Trying(); reply(tx, 200) }
		w := r.stack.Worker(0)
		w.SendRequest(udpFlow(), "INVITE", 1, outgoing("INVITE", 1), r.users[0])
		r.wire.take()
		for range 2 {
			in := inbound(udpFlow(), string(msg))
			if !w.message(entry{in: in}) {
				in.Release()
			}
		}
		if n := w.metrics.panics.Load(); n != 0 {
			t.Fatalf("%d panics", n)
		}
		if sipgate.Scan(sipgate.Normalise(bytes.Clone(msg)), new(sipgate.Head)) != nil {
			return
		}
		for _, s := range r.wire.take() {
			if refusal := sipgate.Scan(sipgate.Normalise([]byte(s.msg)), new(sipgate.Head)); refusal != nil {
				t.Errorf("sent what the gate refuses (%v):\n%s", refusal, s.msg)
			}
		}
	})
}
