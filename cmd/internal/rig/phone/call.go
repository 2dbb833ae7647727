package phone

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/sipmsg"
	"github.com/mss-federation/mss/cmd/internal/rig/voice"
)

const allow = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO"

// Times are when things happened to a call, as its phone saw them; zero: not yet.
type Times struct{ Started, Ringing, Answered, Ended time.Time }

// Call is one call of one phone: a dialog and its voice. The same type serves both sides.
type Call struct {
	p        *Phone
	id       string // Call-ID
	outgoing bool
	voice    *voice.Session

	ringing, answered, ended chan struct{}

	mu struct {
		sync.Mutex
		status   int
		reason   string
		byRemote bool
		times    Times
		remote   netip.AddrPort
		codec    voice.Codec
		infos    []string
	}

	// What follows is owned by the phone's loop.
	dialog     dialog
	invite     *clientTx // our latest INVITE
	heldACK    func()    // set while an ACK is held back
	opt        DialOptions
	server     *serverTx // the latest INVITE to us
	waitsSDP   bool      // our 200 had the offer: the answer comes in the ACK
	offered    *description
	up, over   bool
	cancelling bool
	byeSent    bool
	sdpSession uint32
	sdpVersion uint32
	sentSDP    []byte
	own        direction     // what we want
	codecs     []voice.Codec // what we offer and accept
	far        *description
	farBody    string
	answerBody string // first answer to the offer that is open or was last
}

// dialog is the state of RFC 3261 §12.
type dialog struct {
	localTag, remoteTag string
	local, remote       string // From and To values without tags
	localSeq, remoteSeq uint32
	target              string
	routes              []string
}

func (p *Phone) newCall(id string, outgoing bool) (*Call, error) {
	var v *voice.Session
	err := p.opt.Inside(func() (err error) {
		v, err = voice.Open(p.opt.Local, p.opt.Tone)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open voice: %w", err)
	}
	c := &Call{
		p: p, id: id, outgoing: outgoing, voice: v, own: sendRecv,
		ringing: make(chan struct{}), answered: make(chan struct{}), ended: make(chan struct{}),
		sdpSession: rand.Uint32() >> 1, sdpVersion: rand.Uint32() >> 1,
		codecs: []voice.Codec{p.opt.Codec, voice.PCMA - p.opt.Codec},
	}
	if p.opt.OneCodec {
		c.codecs = c.codecs[:1]
	}
	c.dialog.localTag = newTag()
	c.mu.times.Started = time.Now()
	p.calls[id] = c
	return c, nil
}

// ID is the Call-ID of this phone's leg.
func (c *Call) ID() string { return c.id }

// Ringing is closed at the first 180 or 183, sent or received.
func (c *Call) Ringing() <-chan struct{} { return c.ringing }

// Answered is closed when the 2xx was sent or received.
func (c *Call) Answered() <-chan struct{} { return c.answered }

// Ended is closed when the call is over for this phone, whatever the reason.
func (c *Call) Ended() <-chan struct{} { return c.ended }

// Voice is the call's RTP; its counts stay after the end.
func (c *Call) Voice() *voice.Session { return c.voice }

// HeardTone says whether freq hertz was heard in the last 300 ms.
func (c *Call) HeardTone(freq float64) bool { return c.voice.Hears(freq) }

// Stats are the voice's counts.
func (c *Call) Stats() voice.Stats { return c.voice.Stats() }

// Status is the final status of the INVITE (0 while there is none), and the reason of the end.
func (c *Call) Status() (status int, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.status, c.mu.reason
}

// ByRemote says whether the far side ended the call.
func (c *Call) ByRemote() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.byRemote
}

// Times are when things happened.
func (c *Call) Times() Times {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.times
}

// RemoteVoice is the address in the far SDP; invalid before there is one.
func (c *Call) RemoteVoice() netip.AddrPort {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.remote
}

// Codec is what is sent.
func (c *Call) Codec() voice.Codec {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.codec
}

// Infos are the bodies of the INFO requests that came.
func (c *Call) Infos() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.mu.infos...)
}

// From is the caller as the INVITE named it (a From value without its tag).
func (c *Call) From() string {
	if c.outgoing {
		return c.dialog.local
	}
	return c.dialog.remote
}

// rang notes the first 18x.
func (c *Call) rang() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.times.Ringing.IsZero() {
		c.mu.times.Ringing = time.Now()
		close(c.ringing)
	}
}

// establish notes the first 2xx.
func (c *Call) establish() {
	c.up = true
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mu.times.Answered.IsZero() {
		c.mu.times.Answered, c.mu.status = time.Now(), 200
		close(c.answered)
	}
}

// finish ends the call for this phone. The Call-ID is remembered for 64*T1, for what comes late.
func (c *Call) finish(status int, reason string, byRemote bool) {
	if c.over {
		return
	}
	c.over = true
	c.voice.Close()
	c.mu.Lock()
	c.mu.times.Ended, c.mu.reason, c.mu.byRemote = time.Now(), reason, byRemote
	if c.mu.status == 0 {
		c.mu.status = status
	}
	c.mu.Unlock()
	close(c.ended)
	c.p.after(timerB, func() { delete(c.p.calls, c.id) })
}

// inDialog says whether a request from the far side belongs to this dialog (RFC 3261 §12.2.2).
func (c *Call) inDialog(req *sipmsg.Message) bool {
	from, _ := sipmsg.Param(req.Get("from"), "tag")
	to, _ := sipmsg.Param(req.Get("to"), "tag")
	return to == c.dialog.localTag && from == c.dialog.remoteTag
}

// newRequest begins a request inside the dialog; its CSeq number is new.
func (c *Call) newRequest(method string) *sipmsg.Message {
	c.dialog.localSeq++
	return c.requestWith(method, c.dialog.localSeq)
}

func (c *Call) requestWith(method string, seq uint32) *sipmsg.Message {
	req := &sipmsg.Message{Method: method, URI: c.dialog.target}
	for _, r := range c.dialog.routes {
		req.Add("Route", r)
	}
	req.Add("Max-Forwards", strconv.Itoa(maxHops))
	req.Add("From", c.dialog.local+";tag="+c.dialog.localTag)
	to := c.dialog.remote
	if c.dialog.remoteTag != "" {
		to += ";tag=" + c.dialog.remoteTag
	}
	req.Add("To", to)
	req.Add("Call-ID", c.id)
	req.Add("CSeq", cseq(seq, method))
	req.Add("User-Agent", userAgent)
	return req
}

func (c *Call) nextSeq() uint32 { c.dialog.localSeq++; return c.dialog.localSeq }

// hop is where a request inside the dialog goes: its first route, else its target, else the registrar.
func (c *Call) hop() netip.AddrPort {
	uri := c.dialog.target
	if len(c.dialog.routes) > 0 {
		uri = sipmsg.URI(c.dialog.routes[0])
	}
	if a, ok := c.p.resolve(uri); ok {
		return a
	}
	return c.p.opt.Registrar
}

// wait posts f, which must answer on the channel it gets, and waits for that.
func (c *Call) wait(ctx context.Context, f func(result chan<- error)) error {
	result := make(chan error, 1)
	c.p.post(func() { f(result) })
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("wait for an answer: %w", ctx.Err())
	case <-c.p.done:
		return ErrClosed
	}
}
