package sipgate

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/emiago/sipgo/sip"
)

// verdict is what the gate makes of a message.
type verdict int

const (
	accepted verdict = 0
	dropped  verdict = -1 // refused, and not to be answered
	// Other values are the status of the answer.
)

// gate passes a message through the gate as a worker does.
func gate(msg []byte) (normal []byte, h Head, v verdict) {
	normal = Normalise(msg)
	r := Scan(normal, &h)
	switch {
	case r == nil:
		return normal, h, accepted
	case r.Usable:
		return normal, h, verdict(r.Status)
	}
	return normal, h, dropped
}

// The messages of RFC 4475, written as the RFC has them. Where it leaves a choice, the reason for ours
// stands beside the row. Accepted messages may still be refused later, for what they ask and not for how
// they are written.
func TestRFC4475(t *testing.T) {
	t.Parallel()
	rows := []struct {
		section, name string
		want          verdict
	}{
		{"3.1.1.1", "wsinv", accepted},
		{"3.1.1.2", "intmeth", accepted},
		{"3.1.1.3", "esc01", accepted},
		{"3.1.1.4", "escnull", accepted},
		{"3.1.1.5", "esc02", accepted},
		{"3.1.1.6", "lwsdisp", accepted},
		{"3.1.1.7", "longreq", accepted},
		{"3.1.1.8", "dblreq", accepted},
		{"3.1.1.9", "semiuri", accepted},
		{"3.1.1.10", "transports", accepted},
		{"3.1.1.11", "mpart01", accepted},
		{"3.1.1.12", "unreason", accepted},
		{"3.1.1.13", "noreason", accepted},
		{"3.1.2.1", "badinv01", 400},
		{"3.1.2.2", "clerr", 400},
		{"3.1.2.3", "ncl", 400},
		{"3.1.2.4", "scalar02", 400},
		{"3.1.2.5", "scalarlg", dropped},
		{"3.1.2.6", "quotbal", 400},
		{"3.1.2.7", "ltgtruri", 400},
		{"3.1.2.8", "lwsruri", 400},
		{"3.1.2.9", "lwsstart", 400},
		{"3.1.2.10", "trws", 400},
		{"3.1.2.11", "escruri", 400},
		{"3.1.2.12", "baddate", accepted}, // nobody reads Date
		{"3.1.2.13", "regbadct", 400},
		{"3.1.2.14", "badaspec", 400},
		{"3.1.2.15", "baddn", 400},
		{"3.1.2.16", "badvers", 505},
		{"3.1.2.17", "mismatch01", 400},
		{"3.1.2.18", "mismatch02", 501},
		{"3.1.2.19", "bigcode", dropped},
		{"3.2.1", "badbranch", 400},   // rather than fall back to RFC 2543
		{"3.3.1", "insuf", 400},       // with the headers that there are
		{"3.3.2", "unkscm", accepted}, // 416 later
		{"3.3.3", "novelsc", accepted},
		{"3.3.4", "unksm2", accepted},
		{"3.3.5", "bext01", accepted}, // 420 later
		{"3.3.6", "invut", accepted},  // 415 later
		{"3.3.7", "regaut01", accepted},
		{"3.3.8", "multi01", 400},
		{"3.3.9", "mcl01", 400},
		{"3.3.10", "bcast", accepted}, // the client sees that the second Via is not its own
		{"3.3.11", "zeromf", accepted},
		{"3.3.12", "cparam01", accepted},
		{"3.3.13", "cparam02", accepted},
		{"3.3.14", "regescrt", accepted},
		{"3.3.15", "sdp01", accepted}, // 406 later
		{"3.4.1", "inv2543", accepted},
		{"archive", "test", dropped}, // in the RFC's archive only; no Via
	}
	files, err := filepath.Glob("testdata/rfc4475/*.dat")
	if err != nil || len(files) != len(rows) {
		t.Fatalf("%d files for %d rows, %v", len(files), len(rows), err)
	}
	parser := sip.NewParser()
	for _, row := range rows {
		t.Run(row.section+" "+row.name, func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile("testdata/rfc4475/" + row.name + ".dat")
			if err != nil {
				t.Fatal(err)
			}
			before := bytes.Clone(raw)
			msg, h, got := gate(raw)
			if got != row.want {
				t.Fatalf("verdict %d, want %d (%v)", got, row.want, Scan(msg, &h))
			}
			if !bytes.Equal(raw, before) {
				t.Error("the message was changed in place")
			}
			if got != accepted {
				return
			}
			parsed, err := parser.ParseSIP(msg)
			if err != nil {
				t.Fatalf("accepted, but the parser says: %v", err)
			}
			if d := disagreement(msg, &h, parsed); d != "" {
				t.Errorf("gate and parser disagree on %s", d)
			}
		})
	}
}

// disagreement names what the gate and the parser read differently; empty is well.
func disagreement(msg []byte, h *Head, parsed sip.Message) string {
	text := func(s Span) string { return string(s.Of(msg)) }
	tag := func(p sip.HeaderParams) string { return p.GetOr("tag", "") }
	cseq, via := parsed.CSeq(), parsed.Via()
	switch m := parsed.(type) {
	case *sip.Request:
		if !h.Request || m.Method.String() != h.Method && !miscasedAny(h.Method, m.Method.String()) {
			return "method"
		}
		if text(h.URI) != "" && m.Recipient.Scheme == "" {
			return "Request-URI"
		}
	case *sip.Response:
		if h.Request || m.StatusCode != h.Status {
			return "status"
		}
	}
	switch {
	case parsed.From() == nil || tag(parsed.From().Params) != text(h.FromTag):
		return "From tag"
	case parsed.To() == nil || tag(parsed.To().Params) != text(h.ToTag):
		return "To tag"
	case parsed.CallID() == nil || parsed.CallID().Value() != text(h.CallID):
		return "Call-ID"
	case cseq == nil || cseq.SeqNo != h.CSeq || string(cseq.MethodName) != h.Method:
		return "CSeq"
	case via == nil || via.Params.GetOr("branch", "") != text(h.Branch):
		return "branch"
	case string(parsed.Body()) != text(h.Body):
		return "body"
	}
	return ""
}

// miscasedAny: the parser writes methods in capitals, unknown ones too.
func miscasedAny(method, parsed string) bool {
	return string(bytes.ToUpper([]byte(method))) == parsed
}

func TestRFC4475Fields(t *testing.T) {
	t.Parallel()
	request := func(t *testing.T, name string) (*sip.Request, Head) {
		t.Helper()
		raw, err := os.ReadFile("testdata/rfc4475/" + name + ".dat")
		if err != nil {
			t.Fatal(err)
		}
		msg, h, _ := gate(raw)
		parsed, err := sip.NewParser().ParseSIP(msg)
		if err != nil {
			t.Fatal(err)
		}
		r, ok := parsed.(*sip.Request)
		if !ok {
			t.Fatalf("%T", parsed)
		}
		return r, h
	}
	check := func(t *testing.T, what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s %q, want %q", what, got, want)
		}
	}
	t.Run("wsinv", func(t *testing.T) {
		t.Parallel()
		r, h := request(t, "wsinv")
		if h.MaxForwards != 68 || h.CSeq != 9 || len(h.Vias) != 2 || h.Body.To-h.Body.From != 150 {
			t.Errorf("head %+v", h)
		}
		check(t, "To host", r.To().Address.Host, "chair-dnrc.example.com")
		check(t, "From name", r.From().DisplayName, `J Rosenberg \\\"`)
		vias := ""
		for _, v := range r.GetHeaders("Via") {
			vias += v.Value() + "\n"
		}
		check(t, "vias", vias, "SIP/2.0/UDP 192.0.2.2;branch=390skdjuw\n"+
			"SIP/2.0/TCP spindle.example.com;branch=z9hG4bK9ikj8\nSIP/2.0/UDP 192.168.255.111;branch=z9hG4bK30239\n")
		check(t, "subject", r.GetHeader("Subject").Value(), "")
		check(t, "folded header", r.GetHeader("NewFangledHeader").Value(), "newfangled value continued newfangled value")
		check(t, "odd header", r.GetHeader("UnknownHeaderWithUnusualValue").Value(), ";;,,;;,;")
		check(t, "route", r.Route().Address.String(), "sip:services.example.com;lr;unknownwith=value;unknown-no-value")
		check(t, "contact", r.Contact().Value(), `"Quoted string ''" <sip:jdrosen@example.com>;newparam=newvalue;secondparam;q=0.33`)
	})
	t.Run("intmeth", func(t *testing.T) {
		t.Parallel()
		r, h := request(t, "intmeth")
		check(t, "method", h.Method, "!interesting-Method0123456789_*+`.%indeed'~")
		check(t, "URI user", r.Recipient.User, "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*")
		check(t, "URI password", r.Recipient.Password, "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)")
		check(t, "URI host", r.Recipient.Host, "example.com")
		check(t, "From tag", string(h.FromTag.Of(Normalise(mustRead(t, "intmeth")))), "_token~1'+`*%!-.")
		if h.MaxForwards != 70 {
			t.Errorf("Max-Forwards %d", h.MaxForwards)
		}
	})
	t.Run("esc01", func(t *testing.T) {
		t.Parallel()
		r, _ := request(t, "esc01")
		check(t, "URI user", r.Recipient.User, "sips%3Auser%40example.com")
		check(t, "contact user", r.Contact().Address.User, "cal%6Cer")
		if lr, ok := r.Contact().Address.UriParams.Get("lr"); ok {
			t.Errorf("an escaped lr was taken for %q", lr)
		}
	})
	t.Run("esc02", func(t *testing.T) {
		t.Parallel()
		r, h := request(t, "esc02")
		check(t, "method", h.Method, "RE%47IST%45R")
		if n := len(r.GetHeaders("Contact")); n != 2 {
			t.Errorf("%d contacts: an escaped name is another header", n)
		}
	})
	t.Run("longreq", func(t *testing.T) {
		t.Parallel()
		r, h := request(t, "longreq")
		if len(h.Vias) != 34 || len(r.GetHeaders("Via")) != 34 || h.Branch.Present() {
			t.Errorf("%d Vias, branch %v", len(h.Vias), h.Branch)
		}
	})
	t.Run("dblreq", func(t *testing.T) {
		t.Parallel()
		r, h := request(t, "dblreq")
		check(t, "method", h.Method, "REGISTER")
		check(t, "body", string(r.Body()), "")
	})
	t.Run("semiuri", func(t *testing.T) {
		t.Parallel()
		r, _ := request(t, "semiuri")
		check(t, "URI user", r.Recipient.User, "user;par=u%40example.net")
		check(t, "URI host", r.Recipient.Host, "example.com")
		check(t, "accept", r.GetHeader("Accept").Value(),
			"application/sdp, application/pkcs7-mime, multipart/mixed, multipart/signed, message/sip, message/sipfrag")
	})
	t.Run("escnull", func(t *testing.T) {
		t.Parallel()
		r, _ := request(t, "escnull")
		check(t, "To user", r.To().Address.User, "null-%00-null")
		check(t, "contact", r.GetHeaders("Contact")[0].Value(), "<sip:%00@host5.example.com>")
	})
	t.Run("inv2543", func(t *testing.T) {
		t.Parallel()
		r, h := request(t, "inv2543")
		if h.MaxForwards != -1 || h.FromTag.Present() || h.Branch.Present() || !bytes.HasSuffix(r.Body(), []byte("RTP/AVP 0\r\n")) {
			t.Errorf("head %+v, body %q", h, r.Body())
		}
	})
}

func mustRead(t *testing.T, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile("testdata/rfc4475/" + name + ".dat")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
