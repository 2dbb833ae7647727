package sipgate

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/emiago/sipgo/sip"
)

// FuzzGate: what the gate lets through, the parser reads, and reads alike; what the readers find without
// the gate is what the gate finds; nothing outside the message is ever pointed at.
func FuzzGate(f *testing.F) {
	f.Add([]byte(invite))
	files, err := filepath.Glob("testdata/rfc*/*.dat")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	parser := sip.NewParser()
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		msg := Normalise(raw)
		if !bytes.Equal(raw, before) {
			t.Fatal("the input was changed")
		}
		if len(msg) > 0 && len(msg) <= MaxMessage {
			if again := Normalise(msg); &again[0] != &msg[0] {
				t.Fatalf("normalised twice: %q, %q", msg, again)
			}
		}
		var h Head
		r := Scan(msg, &h)
		checkSpans(t, msg, &h)
		if r != nil {
			if r.Usable && (len(h.Vias) == 0 || !h.CSeqValue.Present()) {
				t.Errorf("refused as usable: %+v", h)
			}
			return
		}
		if id, ok := CallID(msg); !ok || !bytes.Equal(id, h.CallID.Of(msg)) {
			t.Errorf("Call-ID %q, the gate has %q", id, h.CallID.Of(msg))
		}
		if HasToTag(msg) != h.ToTag.Present() {
			t.Errorf("To tag %q", h.ToTag.Of(msg))
		}
		parsed, err := parser.ParseSIP(msg)
		if err != nil {
			t.Fatalf("let through, but the parser says: %v", err)
		}
		if d := disagreement(msg, &h, parsed); d != "" {
			t.Errorf("gate and parser disagree on %s", d)
		}
	})
}

func checkSpans(t *testing.T, msg []byte, h *Head) {
	t.Helper()
	spans := append([]Span{h.URI, h.From, h.To, h.CallID, h.CSeqValue, h.FromTag, h.ToTag, h.Branch, h.ContentType, h.Body}, h.Vias...)
	for _, s := range spans {
		if s.From < 0 || s.To < s.From || s.To > len(msg) {
			t.Fatalf("span %v in a message of %d bytes: %+v", s, len(msg), h)
		}
	}
}
