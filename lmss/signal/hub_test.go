package signal

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/mss-federation/mss/lmss/uplink"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/identity"
	"github.com/mss-federation/mss/pkg/identity/identitytest"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// hub is a scripted hub, and the other site behind it: a TLS listener that the site dials, over which a script
// speaks as over a phone's socket. Hub Ha is 192.0.2.201, Hb 192.0.2.202; the number behind both is 1001.
type hub struct {
	phone    *phone
	config   *tls.Config
	addr     netip.AddrPort
	running  sync.WaitGroup
	mu       sync.Mutex
	listener net.Listener
	conn     net.Conn // the newest
	opened   int
	frozen   chan struct{} // closed when it reads again; nil while it does
}

// withHubs makes hubs a and b, and gives what makes the uplink of a site that knows both.
func withHubs(t *testing.T, sc *scene, reach uplink.Reach) func() *uplink.Uplink {
	t.Helper()
	domain := identitytest.NewDomain(t, "example.org")
	var list []string
	for i, id := range []string{"a", "b"} {
		h := newHub(t, sc, domain, id, byte(201+i))
		list = append(list, fmt.Sprintf(`{"id": %q, "grpc": "%s:5443", "sip": [{"Transport": "tls", "HostPort": %q}]}`, id, h.addr.Addr(), h.addr))
	}
	home := uplink.HomeIn(t.TempDir())
	if err := os.MkdirAll(string(home), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(string(home), "hubs.json"), []byte(`{"v": 1, "hubs": [`+strings.Join(list, ", ")+`]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return func() *uplink.Uplink {
		u, err := uplink.New(uplink.Options{
			Site: "london", Domain: "example.org", Prefer: []federation.HubID{"a", "b"}, Home: home,
			Credentials: domain.Credentials(t, identity.Site, "london"), Network: sc.net.Host(sc.site.Addr()), Logger: testLogger(t),
			Reach: reach,
		})
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
}

// withStaticHub makes a phone a hub that is known by its address.
func withStaticHub(t *testing.T, sc *scene, name string) *uplink.Uplink {
	t.Helper()
	u, err := uplink.New(uplink.Options{
		Site: "london", Domain: "example.org", Network: sc.net.Host(sc.site.Addr()), Logger: testLogger(t),
		Static: []uplink.Static{{Hub: "x", Flow: siptransport.Flow{Transport: siptransport.UDP, Local: sc.site, Remote: sc.phone(name).addr}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func newHub(t *testing.T, sc *scene, domain *identitytest.Domain, id string, last byte) *hub {
	t.Helper()
	h := &hub{
		addr:   netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, last}), 5061),
		config: identity.ServerTLS(domain.Source(t, identity.Hub, id), domain.Trust, identity.Site),
	}
	h.phone = &phone{
		scene: sc, name: "H" + id, number: "1001", addr: h.addr, replyTo: map[string]*sip.Request{}, hub: h,
	}
	sc.phones[h.phone.name] = h.phone
	h.open()
	return h
}

// revive opens again, a little later: the site dials when it likes, and is not to hit the same moment.
func (h *hub) revive() { h.running.Go(func() { <-time.After(100 * time.Millisecond); h.open() }) }

// open takes connections.
func (h *hub) open() {
	ln, err := h.phone.scene.net.Host(h.addr.Addr()).ListenTCP(context.Background(), h.addr)
	if err != nil {
		h.phone.scene.t.Fatal(err)
	}
	h.mu.Lock()
	h.listener = ln
	h.mu.Unlock()
	h.running.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			h.mu.Lock()
			h.conn = tls.Server(conn, h.config)
			current := h.conn
			h.opened++
			silent := h.opened == 1 || h.frozen != nil
			h.mu.Unlock()
			if !silent {
				h.phone.note("a new connection")
			}
			h.running.Go(func() { h.serve(current) })
		}
	})
}

// note puts something that is no message into the transcript.
func (p *phone) note(text string) {
	p.scene.mu.Lock()
	defer p.scene.mu.Unlock()
	p.scene.pending = append(p.scene.pending, heard{at: time.Now(), phone: p.name, text: text})
}

// drop closes the connection; the site may open another one.
func (h *hub) drop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conn != nil {
		_ = h.conn.Close()
	}
}

// freeze leaves the connection open and reads nothing more from it, until thaw.
func (h *hub) freeze() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.frozen = make(chan struct{})
}

func (h *hub) thaw() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.frozen != nil {
		close(h.frozen)
		h.frozen = nil
	}
}

func (h *hub) waitThawed() {
	h.mu.Lock()
	frozen := h.frozen
	h.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
}

// die closes all and takes no more.
func (h *hub) die() {
	h.thaw()
	h.mu.Lock()
	_ = h.listener.Close()
	h.mu.Unlock()
	h.drop()
}

func (h *hub) send(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, err := h.conn.Write([]byte(text)); err != nil {
		h.phone.scene.t.Error(err)
	}
}

// serve answers pings and hands messages to the script.
func (h *hub) serve(conn net.Conn) {
	r := bufio.NewReader(conn)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		h.waitThawed()
		if line == "\r\n" { // the second half of a ping is ignored by pongs being idempotent
			if next, err := r.Peek(2); err == nil && string(next) == "\r\n" {
				_, _ = r.Discard(2)
			}
			if _, err := conn.Write([]byte("\r\n")); err != nil {
				return
			}
			continue
		}
		msg, err := readMessage(r, line)
		if err != nil {
			return
		}
		parsed, err := sip.ParseMessage(msg)
		if err != nil {
			h.phone.scene.t.Errorf("%s got what cannot be read: %v\n%s", h.phone.name, err, msg)
			return
		}
		h.phone.scene.mu.Lock()
		h.phone.take(parsed)
		h.phone.scene.mu.Unlock()
	}
}

func readMessage(r *bufio.Reader, first string) ([]byte, error) {
	var msg bytes.Buffer
	msg.WriteString(first)
	length := 0
	for line := first; line != "\r\n"; {
		var err error
		if line, err = r.ReadString('\n'); err != nil {
			return nil, err
		}
		msg.WriteString(line)
		if value, ok := strings.CutPrefix(line, "Content-Length: "); ok {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil {
				return nil, err
			}
		}
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	msg.Write(body)
	return msg.Bytes(), nil
}

// recordRoute is what this hub, and one beyond it, add to what makes a dialog (RFC 3261 §16.6): each puts itself on
// top, so that towards the site this hub comes first, and in what answers the site it comes last.
func (h *hub) recordRoute(answer bool) string {
	near := fmt.Sprintf("Record-Route: <sip:%s;transport=tls;lr;mss=%s>\r\n", h.addr, strings.ToLower(h.phone.name))
	far := "Record-Route: <sip:192.0.2.209:5061;transport=tls;lr;mss=far>\r\n"
	if answer {
		return far + near
	}
	return near + far
}

// command carries out what only hubs do.
func (h *hub) command(verb string) bool {
	switch verb {
	case "drop":
		h.drop()
	case "die":
		h.die()
	case "freeze":
		h.freeze()
	case "thaw":
		h.thaw()
	case "revive":
		h.revive()
	default:
		return false
	}
	return true
}

// hubWords is what matters of a message between our nodes.
func (s *scene) hubWords(m described) string {
	var b strings.Builder
	fmt.Fprintf(&b, " from=%q", withoutTag(m.From().Value()))
	for _, h := range m.GetHeaders("Route") {
		fmt.Fprintf(&b, " Route=%q", h.Value())
	}
	for _, name := range []string{"Max-Forwards", "X-MSS-By", "X-MSS-Voice"} {
		if h := m.GetHeader(name); h != nil {
			fmt.Fprintf(&b, " %s=%s", name, h.Value())
		}
	}
	if h := m.GetHeader("Session-ID"); h != nil {
		id, _, _ := strings.Cut(h.Value(), ";")
		fmt.Fprintf(&b, " session=%s", s.symbol("s", id))
	}
	return b.String()
}

func withoutTag(value string) string {
	before, _, _ := strings.Cut(value, ";tag=")
	return before
}
