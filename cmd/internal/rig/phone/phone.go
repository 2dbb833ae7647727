// Package phone is a small SIP telephone for tests and demonstrations: its own sockets, transactions, dialogs,
// digest, SDP and voice, sharing no code with the product. It is strict: whatever it is sent that breaks a
// rule is kept, see [Phone.Violations]. It is no library for others: it has just the features that tests
// need, and hooks to misbehave with. Start at [New], [Phone.Register] and [Phone.Dial].
package phone

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/mss-federation/mss/cmd/internal/rig/sipmsg"
	"github.com/mss-federation/mss/cmd/internal/rig/voice"
)

// Transport is what the phone speaks SIP over. The zero value is UDP.
type Transport uint8

// The transports.
const (
	UDP Transport = iota
	TCP
	TLS
)

// String is the transport's name in Via.
func (t Transport) String() string {
	switch t {
	case TCP:
		return "TCP"
	case TLS:
		return "TLS"
	case UDP:
	}
	return "UDP"
}

// param is what a SIP URI has behind it to say so.
func (t Transport) param() string {
	if t == UDP {
		return ""
	}
	return ";transport=" + strings.ToLower(t.String())
}

// HoldMode is the direction that the phone offers to hold a call. The zero value is sendonly.
type HoldMode string

// The ways to hold.
const (
	HoldSendOnly HoldMode = "sendonly"
	HoldInactive HoldMode = "inactive"
)

// Inside calls f where sockets are to be made, such as in a network namespace; whatever f makes stays there.
type Inside func(f func() error) error

// Options say who the phone is and how it behaves.
type Options struct {
	Name      string         // user part of its address-of-record, and digest user
	Password  string         // empty: a challenge is not answered
	Display   string         // display name in From; empty: none
	Domain    string         // host of its address-of-record; empty: the registrar's address
	Registrar netip.AddrPort // where requests outside of dialogs go
	Transport Transport
	Trust     *x509.CertPool // whom it trusts over TLS; the registrar is known by its address
	Local     netip.Addr     // address to bind; zero: the loopback of the registrar's family
	Inside    Inside         // makes its sockets, where Local is; zero: here
	Tone      float64        // hertz that it sends; 0 is silence
	Codec     voice.Codec
	OneCodec  bool          // offer and accept Codec alone, not the other one too
	Expires   time.Duration // asked for in REGISTER; zero: one hour
	Hold      HoldMode      // zero: sendonly
	// AutoAnswer answers every call after AnswerAfter (zero: at once), ringing before.
	AutoAnswer  bool
	AnswerAfter time.Duration
	// OnResponse and OnRequest see each message before the phone does, on the phone's own goroutine; true drops it.
	OnResponse func(*sipmsg.Message) (drop bool)
	OnRequest  func(*sipmsg.Message) (drop bool)
}

const (
	inboxSize     = 1024
	incomingSize  = 64
	defaultExpiry = time.Hour
)

// ErrClosed is the end of everything that was asked of a phone that was closed.
var ErrClosed = errors.New("phone is closed")

// Phone is one telephone. All its state belongs to one goroutine, to which its methods post; they may be
// called from anywhere but a hook.
type Phone struct {
	opt      Options
	instance string
	wire     wire
	contact  string // its Contact URI
	inbox    chan func()
	incoming chan *Call
	done     chan struct{}
	stop     context.CancelFunc
	group    sync.WaitGroup
	journal  journal

	// Owned by the loop.
	clients      map[string]*clientTx // by branch and method
	servers      map[string]*serverTx // by branch, sent-by and method
	calls        map[string]*Call     // by Call-ID
	registration registration
	vanished     bool
	closed       bool
}

// New binds the phone's sockets and starts it. It sends nothing yet.
func New(opt Options) (*Phone, error) {
	if opt.Expires == 0 {
		opt.Expires = defaultExpiry
	}
	if opt.Hold == "" {
		opt.Hold = HoldSendOnly
	}
	if opt.Domain == "" {
		opt.Domain = hostOf(opt.Registrar.Addr())
	}
	if !opt.Local.IsValid() {
		opt.Local = netip.MustParseAddr("127.0.0.1")
		if opt.Registrar.Addr().Is6() {
			opt.Local = netip.IPv6Loopback()
		}
	}
	if opt.Inside == nil {
		opt.Inside = func(f func() error) error { return f() }
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Phone{
		opt: opt, instance: newInstance(), stop: cancel,
		inbox: make(chan func(), inboxSize), incoming: make(chan *Call, incomingSize), done: make(chan struct{}),
		clients: map[string]*clientTx{}, servers: map[string]*serverTx{}, calls: map[string]*Call{},
	}
	p.registration.init(p)
	err := opt.Inside(func() (err error) {
		p.wire, err = newWire(ctx, p)
		return err
	})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("start phone %s: %w", opt.Name, err)
	}
	p.contact = "sip:" + opt.Name + "@" + p.wire.local().String()
	p.contact += opt.Transport.param()
	p.group.Go(p.loop)
	return p, nil
}

func newInstance() string {
	var b [16]byte
	// crypto/rand never fails on the systems that Go supports (Go 1.24).
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func hostOf(a netip.Addr) string {
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
}

// loop runs what is posted, one after the other.
func (p *Phone) loop() {
	defer close(p.done)
	for !p.closed {
		(<-p.inbox)()
	}
}

// post hands f to the loop; after Close it is dropped.
func (p *Phone) post(f func()) {
	select {
	case p.inbox <- f:
	case <-p.done:
	}
}

// do runs f on the loop and waits for it.
func (p *Phone) do(f func()) error {
	ran := make(chan struct{})
	p.post(func() { defer close(ran); f() })
	select {
	case <-ran:
		return nil
	case <-p.done:
		return ErrClosed
	}
}

// after posts f once d has passed.
func (p *Phone) after(d time.Duration, f func()) *time.Timer {
	return time.AfterFunc(d, func() { p.post(f) })
}

// Close ends the phone without a word to anyone: no BYE, no unregistering. Calls that are up end.
func (p *Phone) Close() {
	p.post(func() {
		for _, c := range p.calls {
			c.finish(0, "phone closed", false)
		}
		p.registration.stop()
		p.stop()
		p.wire.close()
		p.closed = true
	})
	<-p.done
	p.group.Wait()
}

// Vanish makes the phone deaf and dumb in signalling, as if its cable was pulled; voice goes on.
func (p *Phone) Vanish() error {
	return p.do(func() { p.vanished = true })
}

// Name is the user part of its address-of-record.
func (p *Phone) Name() string { return p.opt.Name }

// Contact is the URI that it registers.
func (p *Phone) Contact() string { return p.contact }

// Local is the address of its SIP socket; over TCP and TLS that of its listener.
func (p *Phone) Local() netip.AddrPort { return p.wire.local() }

// Incoming gives the calls that arrive, unless AutoAnswer is set.
func (p *Phone) Incoming() <-chan *Call { return p.incoming }

// address is its address-of-record, as in From and To.
func (p *Phone) address() string {
	uri := "<sip:" + p.opt.Name + "@" + p.opt.Domain + ">"
	if p.opt.Display != "" {
		return `"` + p.opt.Display + `" ` + uri
	}
	return uri
}

// Transport is what the phone speaks SIP over.
func (p *Phone) Transport() Transport { return p.opt.Transport }
