package phone

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/sipmsg"
)

// registration is the phone's binding at its registrar. The loop owns it.
type registration struct {
	p       *Phone
	callID  string
	tag     string
	seq     uint32
	active  bool // a 200 came and nothing took it back
	since   time.Time
	refresh *time.Timer
	waiters []func(time.Time) // run at each 200
}

func newTag() string { return rand.Text()[:12] }

func (r *registration) init(p *Phone) {
	r.p, r.callID, r.tag = p, rand.Text(), newTag()
}

func (r *registration) stop() {
	if r.refresh != nil {
		r.refresh.Stop()
	}
}

// Register registers and keeps the binding alive: at half its time, and over TCP whenever the connection
// came back.
func (p *Phone) Register(ctx context.Context) error {
	return p.register(ctx, p.opt.Expires)
}

// Unregister removes the binding.
func (p *Phone) Unregister(ctx context.Context) error {
	return p.register(ctx, 0)
}

func (p *Phone) register(ctx context.Context, expires time.Duration) error {
	result := make(chan error, 1)
	p.post(func() { p.registration.send(expires, func(err error) { result <- err }) })
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("register %s: %w", p.opt.Name, ctx.Err())
	case <-p.done:
		return ErrClosed
	}
}

// WaitRegistered waits for a registration that is younger than since and gives its time.
func (p *Phone) WaitRegistered(ctx context.Context, since time.Time) (time.Time, error) {
	result := make(chan time.Time, 1)
	p.post(func() {
		r := &p.registration
		if r.active && r.since.After(since) {
			result <- r.since
			return
		}
		r.waiters = append(r.waiters, func(at time.Time) { result <- at })
	})
	select {
	case at := <-result:
		return at, nil
	case <-ctx.Done():
		return time.Time{}, fmt.Errorf("%s did not register again: %w", p.opt.Name, ctx.Err())
	case <-p.done:
		return time.Time{}, ErrClosed
	}
}

func (r *registration) send(expires time.Duration, done func(error)) {
	p := r.p
	r.seq++
	uri := "sip:" + p.opt.Domain
	req := &sipmsg.Message{Method: "REGISTER", URI: uri}
	req.Add("Max-Forwards", strconv.Itoa(maxHops))
	req.Add("From", p.address()+";tag="+r.tag)
	req.Add("To", p.address())
	req.Add("Call-ID", r.callID)
	req.Add("CSeq", cseq(r.seq, "REGISTER"))
	req.Add("Contact", fmt.Sprintf(`<%s>;+sip.instance="<%s>"`, p.contact, p.instance))
	req.Add("Expires", strconv.Itoa(int(expires.Seconds())))
	req.Add("Supported", "path, outbound")
	req.Add("Allow", allow)
	req.Add("User-Agent", userAgent)
	next := func() uint32 { r.seq++; return r.seq }
	p.authenticated(req, p.opt.Registrar, next, func(*clientTx) {}, func(res *sipmsg.Message) {
		r.answered(res, expires, done)
	})
}

func (r *registration) answered(res *sipmsg.Message, expires time.Duration, done func(error)) {
	if res != nil && res.Status < 200 {
		return
	}
	if res == nil || res.Status >= 300 {
		r.active = false
		done(&StatusError{Op: "REGISTER", Response: res})
		return
	}
	r.stop()
	r.active = expires > 0
	r.check(res, expires)
	if r.active {
		r.since = time.Now()
		r.refresh = r.p.after(expires/2, func() { r.send(expires, func(error) {}) })
		for _, w := range r.waiters {
			w(r.since)
		}
		r.waiters = nil
	}
	done(nil)
}

// check looks for our Contact in the 200, as sent (RFC 3261 §10.3 step 8).
func (r *registration) check(res *sipmsg.Message, expires time.Duration) {
	p := r.p
	contacts := res.All("contact")
	i := slices.IndexFunc(contacts, func(c string) bool { return sipmsg.URI(c) == p.contact })
	switch {
	case expires == 0 && i >= 0:
		p.journal.violation(RuleRegister, "still listed after it was removed: %q", contacts[i])
	case expires > 0 && i < 0:
		p.journal.violation(RuleRegister, "our Contact %s is not in the 200: %q", p.contact, contacts)
	case expires > 0:
		text, _ := sipmsg.Param(contacts[i], "expires")
		if seconds, err := strconv.Atoi(text); err != nil || seconds < 1 || seconds > int(expires.Seconds()) {
			p.journal.violation(RuleRegister, "expires %q granted, %v asked", text, expires)
		}
	}
}

// connected runs when a TCP connection was made. A binding goes with its connection, so the phone registers
// first; then goes out what waited, and once more the requests that were under way when the old one broke.
func (p *Phone) connected() {
	if !p.registration.active {
		p.resume()
		return
	}
	p.registration.send(p.opt.Expires, func(error) { p.resume() })
}

func (p *Phone) resume() {
	p.wire.flush()
	for _, tx := range p.clients {
		if tx.final == nil && tx.resend {
			tx.send()
		}
	}
}

// StatusError is an answer that is not a 2xx, or none at all.
type StatusError struct {
	Op       string
	Response *sipmsg.Message // nil: no answer within 32 s
}

// Error says what was answered.
func (e *StatusError) Error() string {
	if e.Response == nil {
		return e.Op + ": no answer"
	}
	return fmt.Sprintf("%s: %d %s", e.Op, e.Response.Status, e.Response.Reason)
}

// Status is the code of the answer; 0 if there was none.
func (e *StatusError) Status() int {
	if e.Response == nil {
		return 0
	}
	return e.Response.Status
}
