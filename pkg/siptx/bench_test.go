package siptx

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/mss-federation/mss/pkg/siptransport"
)

type nowhere struct{}

func (nowhere) Send(siptransport.Flow, []byte, func(error)) error { return nil }

// uas answers calls as cheaply as a user can.
type uas struct {
	user
	out    []byte
	invite *ServerTx
}

func (u *uas) Request(tx *ServerTx, _ *Request) {
	if tx.Method() == "INVITE" {
		u.invite = tx
		u.answer(tx, 180)
	}
	u.answer(tx, 200)
}

func (u *uas) Ack(*Request) { u.invite.Acked() }

func (u *uas) answer(tx *ServerTx, status int) {
	u.out = tx.AppendResponse(u.out[:0], status, "", "")
	u.out = append(u.out, "Contact: <sip:100@192.0.2.1>\r\nContent-Length: 0\r\n\r\n"...)
	tx.Send(status, u.out)
}

// call is the messages of one call towards us, with a number of eight digits in each.
type call struct {
	msgs  [][]byte
	marks [][]int
	in    siptransport.Inbound
}

func newCall() *call {
	const sdp = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n" +
		"m=audio 16384 RTP/AVP 8 0 9 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n" +
		"a=rtpmap:9 G722/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n"
	c := &call{}
	for _, m := range []struct{ method, branch, tag, body string }{
		{"INVITE", "a", "", sdp}, {"ACK", "b", ";tag=x", ""}, {"BYE", "c", ";tag=x", ""},
	} {
		extra := "User-Agent: phone\r\nMax-Forwards: 70\r\n"
		if m.body != "" {
			extra += "Contact: <sip:200@192.0.2.9:5060>\r\nAllow: INVITE, ACK, BYE, CANCEL, OPTIONS\r\n" +
				"Supported: replaces, timer\r\nContent-Type: application/sdp\r\n"
		}
		msg := fmt.Appendf(nil, "%s sip:100@192.0.2.1 SIP/2.0\r\n"+
			"Via: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK%s00000000;rport\r\n"+
			"From: <sip:200@example.org>;tag=f00000000\r\nTo: <sip:100@example.org>%s\r\n"+
			"Call-ID: 00000000@192.0.2.9\r\nCSeq: 1 %s\r\n%sContent-Length: %d\r\n\r\n%s",
			m.method, m.branch, m.tag, m.method, extra, len(m.body), m.body)
		var marks []int
		for at := 0; ; {
			i := bytes.Index(msg[at:], []byte("00000000"))
			if i < 0 {
				break
			}
			marks = append(marks, at+i)
			at += i + 8
		}
		c.msgs, c.marks = append(c.msgs, msg), append(c.marks, marks)
	}
	return c
}

// number writes n into every message.
func (c *call) number(n int) {
	var digits [8]byte
	for i := range digits {
		digits[7-i] = '0' + byte(n%10)
		n /= 10
	}
	for i, msg := range c.msgs {
		for _, at := range c.marks[i] {
			copy(msg[at:], digits[:])
		}
	}
}

// BenchmarkAnswerCall is one call answered: INVITE, ACK and BYE in, 180, 200 and 200 out, at 1000 calls/s with
// the transactions of the last 32 s in the table.
func BenchmarkAnswerCall(b *testing.B) {
	stack, err := New(Options{Workers: 1, Sender: nowhere{}, NewHandler: func(*Worker) Handler { return &uas{} }})
	if err != nil {
		b.Fatal(err)
	}
	w, c := stack.Worker(0), newCall()
	now := time.Now()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		c.number(n)
		for _, msg := range c.msgs {
			c.in = siptransport.Inbound{Flow: udpFlow(), Data: msg}
			w.message(entry{in: &c.in})
		}
		now = now.Add(time.Millisecond)
		w.now = now
		w.wheel.advance(now, w.fire)
	}
	if got := w.metrics.sent.Load(); got != uint64(3*n) {
		b.Fatalf("%d messages sent for %d calls", got, n)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(3*n), "ns/msg")
}

// BenchmarkReceive is the reader's part: Call-ID, worker, queue.
func BenchmarkReceive(b *testing.B) {
	stack, err := New(Options{Workers: 2, Sender: nowhere{}, NewHandler: func(*Worker) Handler { return &uas{} }})
	if err != nil {
		b.Fatal(err)
	}
	c := newCall()
	entries := make([]entry, 0, 1)
	b.ReportAllocs()
	for b.Loop() {
		c.in = siptransport.Inbound{Flow: udpFlow(), Data: c.msgs[0]}
		stack.Receive(&c.in)
		for _, w := range stack.workers {
			w.queue.take(entries[:0])
		}
	}
}
