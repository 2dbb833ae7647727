package siptx

import (
	"testing"
)

// A user that works on bytes gets positions and bytes and nothing else; all the rest stays the same.
func TestUnparsed(t *testing.T) {
	t.Parallel()
	bubble(t, Options{Unparsed: true}, func(r *rig) {
		var via string
		var branch Branch
		r.users[0].onRequest = func(_ *ServerTx, req *Request) {
			if req.Request != nil || req.Head.Method == "" || req.Flow != udpFlow() {
				t.Errorf("%+v", req)
			}
			via = string(AppendVia(nil, req.Head.Vias[0].Of(req.Raw), req.Flow))
			if req.Head.CSeq == 2 {
				panic("request")
			}
		}
		// The rig's users read what is parsed, so that they are wrapped here.
		r.stack.workers[0].handler = &raw{r.users[0]}
		r.receive(udpFlow(), request("OPTIONS", branchA, "", 1))
		if want := "SIP/2.0/UDP 192.0.2.9:5060;branch=" + branchA + ";received=192.0.2.9;rport=5060"; via != want {
			t.Errorf("passed on as %s\nwant         %s", via, want)
		}
		r.receive(udpFlow(), request("OPTIONS", "z9hG4bKother", "", 2))
		r.on(0, func(w *Worker) {
			branch = w.NewBranch()
			w.SendRequest(udpFlow(), "INVITE", branch, outgoing("INVITE", branch), &raw{r.users[0]})
		})
		r.receive(udpFlow(), response(outgoing("INVITE", branch), 200, "x"))
		expect(t, "told", r.told(), "request", "request", `panicked "call@example.org" request`, "response 200")
	})
}

// raw is a user that asks for nothing parsed.
type raw struct{ *user }

func (u *raw) Request(tx *ServerTx, req *Request) {
	u.note("request")
	u.onRequest(tx, req)
}

func (u *raw) OnResponse(_ *ClientTx, res *Response) {
	if res.Response != nil {
		panic("parsed")
	}
	u.note("response %d", res.Head.Status)
}
