package signal

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/mss-federation/mss/lmss/cdr"
	"github.com/mss-federation/mss/pkg/servercert"
	"github.com/mss-federation/mss/pkg/servercert/servercerttest"
)

// securePhone is a connection over TLS on which a test writes and reads messages.
type securePhone struct {
	t    *testing.T
	conn *tls.Conn
	in   *bufio.Reader
}

// listenTLS gives a site a TLS listener, and what its phones trust.
func listenTLS(t *testing.T, sc *scene, s *site) (netip.AddrPort, *servercerttest.Authority) {
	t.Helper()
	authority, err := servercerttest.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := servercert.Files{Certificate: filepath.Join(dir, "c.pem"), Key: filepath.Join(dir, "k.pem")}
	if err := authority.Write(files.Certificate, files.Key, servercerttest.Server{Addresses: []netip.Addr{sc.site.Addr()}}); err != nil {
		t.Fatal(err)
	}
	pair, err := files.Read()
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.AddrPortFrom(sc.site.Addr(), 5061)
	ln, err := sc.net.Host(addr.Addr()).ListenTCP(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.endpoint.AddInboundTLS(ln, servercert.New(files, pair, 0, nil).Server()); err != nil {
		t.Fatal(err)
	}
	return addr, authority
}

func connectTLS(t *testing.T, sc *scene, from, to netip.AddrPort, authority *servercerttest.Authority) *securePhone {
	t.Helper()
	raw, err := sc.net.Host(from.Addr()).DialTCP(t.Context(), netip.AddrPort{}, to)
	if err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(raw, &tls.Config{RootCAs: authority.Pool(), ServerName: to.Addr().String(), MinVersion: tls.VersionTLS12})
	if err := conn.Handshake(); err != nil {
		t.Fatal(err)
	}
	return &securePhone{t: t, conn: conn, in: bufio.NewReader(conn)}
}

func (p *securePhone) send(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.conn, text); err != nil {
		p.t.Fatal(err)
	}
}

// next reads messages up to one that is no provisional response.
func (p *securePhone) next() string {
	p.t.Helper()
	for {
		var head strings.Builder
		length := 0
		for !strings.HasSuffix(head.String(), "\r\n\r\n") {
			line, err := p.in.ReadString('\n')
			if err != nil {
				p.t.Fatal(err)
			}
			head.WriteString(line)
			_, _ = fmt.Sscanf(line, "Content-Length: %d", &length) // other lines are none
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(p.in, body); err != nil {
			p.t.Fatal(err)
		}
		if !strings.HasPrefix(head.String(), "SIP/2.0 1") {
			return head.String() + string(body)
		}
	}
}

func parsed[T sip.Message](t *testing.T, text string) T {
	t.Helper()
	msg, err := sip.ParseMessage([]byte(text))
	m, ok := msg.(T)
	if err != nil || !ok {
		t.Fatalf("%v in %s", err, text)
	}
	return m
}

// TestSecurePhone calls from a phone over TLS, by sip and by sips URIs. The site speaks of itself as sip with
// transport=tls, and as sips to a phone that says sips of itself; a phone over UDP hears of neither.
func TestSecurePhone(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ called, contact, want string }{
		{"sip:4002@example.org", "sip:4001@192.0.2.1:40000;transport=tls", "sip:192.0.2.100:5061;transport=tls"},
		{"sips:4002@example.org", "sips:4001@192.0.2.1:40000", "sips:192.0.2.100:5061"},
		{"sips:4002@example.org", "sip:4001@192.0.2.1:40000;transport=tls", "sip:192.0.2.100:5061;transport=tls"},
	} {
		t.Run(tc.called+" from "+tc.contact, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sc := newScene(t, netip.MustParseAddrPort("192.0.2.100:5060"))
				ledger := &ledger{records: map[string]cdr.Record{}, calls: map[string][]byte{}}
				s := conversationSite(t, sc, ledger)
				addr, authority := listenTLS(t, sc, s)
				stop := runSite(t, s, ledger)
				defer stop()
				b := sc.phone("B")
				defer sc.close()
				secureCall(t, sc, b, addr, authority, tc.called, tc.contact, tc.want)
				for _, message := range b.replyTo {
					if text := message.String(); strings.Contains(text, "sips:") || strings.Contains(text, "transport=tls") {
						t.Errorf("a phone over UDP hears of TLS:\n%s", text)
					}
				}
				<-time.After(3 * time.Minute) // every transaction's life is over
			})
		})
	}
}

func secureCall(t *testing.T, sc *scene, b *phone, addr netip.AddrPort, authority *servercerttest.Authority, called, contact, want string) {
	t.Helper()
	a := connectTLS(t, sc, netip.MustParseAddrPort("192.0.2.1:0"), addr, authority)
	defer a.conn.Close()
	const dialog = "From: <sip:4001@example.org>;tag=a\r\nTo: <sip:4002@example.org>%s\r\nCall-ID: secure\r\nMax-Forwards: 70\r\n"
	sdp := "v=0\r\no=- 7 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 20000 RTP/AVP 8\r\n"
	a.send(fmt.Sprintf("INVITE %s SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.1:40000;branch=z9hG4bK1;rport\r\n"+dialog+
		"CSeq: 1 INVITE\r\nContact: <%s>\r\nContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s", called, "", contact, len(sdp), sdp))
	settle()
	sc.run("B respond 200 sdp")
	ok := parsed[*sip.Response](t, a.next())
	if ok.StatusCode != 200 || ok.Contact() == nil || ok.Contact().Address.String() != want {
		t.Fatalf("answered\n%s\nwant Contact %s", ok, want)
	}
	tag, _ := ok.To().Params.Get("tag")
	a.send(fmt.Sprintf("ACK %s SIP/2.0\r\nVia: SIP/2.0/TLS 192.0.2.1:40000;branch=z9hG4bK2;rport\r\n"+dialog+
		"CSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n", want, ";tag="+tag))
	settle()
	sc.run("B reinvite")
	again := parsed[*sip.Request](t, a.next())
	if again.Method != sip.INVITE || again.Via().Transport != "TLS" || again.Via().Port != 5061 || again.Recipient.String() != contact || again.Contact().Address.String() != want {
		t.Errorf("the re-INVITE down the connection:\n%s", again)
	}
	a.send(sip.NewResponseFromRequest(again, 488, "Not Acceptable Here", nil).String())
	if ack := parsed[*sip.Request](t, a.next()); ack.Method != sip.ACK {
		t.Errorf("after the refusal:\n%s", ack)
	}
	settle()
	sc.run("B bye")
	bye := parsed[*sip.Request](t, a.next())
	if bye.Method != sip.BYE || bye.Recipient.String() != contact {
		t.Errorf("the BYE down the connection:\n%s", bye)
	}
	a.send(sip.NewResponseFromRequest(bye, 200, "OK", nil).String())
	settle()
}
