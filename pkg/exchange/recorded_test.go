package exchange

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/mss-federation/mss/pkg/federation"
	exchangev1 "github.com/mss-federation/mss/proto/mss/exchange/v1"
)

var record = flag.Bool("record", false, "record a session of this version beside those of earlier ones")

// A recording is a sequence of: one byte, 's' or 'h' for who said it, the frame's length as a varint, and
// the frame. Recordings of released versions are never changed: every later version must understand them.
func readRecording(t *testing.T, file string) (who []byte, frames []*exchangev1.Frame) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for r := bytes.NewReader(raw); ; {
		side, err := r.ReadByte()
		if errors.Is(err, io.EOF) {
			return who, frames
		}
		size, err := binary.ReadUvarint(r)
		if err != nil || size > uint64(r.Len()) {
			t.Fatalf("%s is cut off: %v", file, err)
		}
		frame, f := make([]byte, size), &exchangev1.Frame{}
		if _, err := io.ReadFull(r, frame); err != nil {
			t.Fatal(err)
		}
		if err := proto.Unmarshal(frame, f); err != nil {
			t.Fatal(err)
		}
		who, frames = append(who, side), append(frames, f)
	}
}

// TestRecordedSessions plays what either side said in the past to a session of now.
func TestRecordedSessions(t *testing.T) {
	t.Parallel()
	if *record {
		recordSession(t, fmt.Sprintf("testdata/session-v%d.bin", MaxVersion))
	}
	files, err := filepath.Glob("testdata/session-v*.bin")
	if err != nil || len(files) < MaxVersion {
		t.Fatalf("recordings are missing: %v %v", files, err)
	}
	for _, file := range files {
		who, frames := readRecording(t, file)
		for _, side := range []byte("sh") {
			got := replay(t, side, who, frames)
			golden := strings.TrimSuffix(file, ".bin") + "-" + string(side) + ".golden"
			if *record || *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s, said by %c, gives\n%s\nwant\n%s", file, side, got, want)
			}
		}
	}
}

// replay lets a session of now hear one side of a recording.
func replay(t *testing.T, side byte, who []byte, frames []*exchangev1.Frame) string {
	t.Helper()
	config := hubConfig()
	if side == 'h' {
		config = siteConfig()
	}
	e := &end{t: t, session: New(config, Nothing{}), sink: &Mirror{}}
	e.handle(Start{}, noon)
	for i, f := range frames {
		if who[i] == side {
			e.handle(Received{Frame: f}, noon)
		}
	}
	out := fmt.Sprintf("peer %+v\nsynchronised %v, heard %d, hubs %+v\n", *e.peer, e.synced, len(e.heard), e.learned)
	for _, r := range e.sink.Routes() {
		out += fmt.Sprintf("%s#%d %v %+v\n", r.NLRI, r.PathID, r.Revisions, *r.Attributes)
	}
	s := e.session.Stats()
	out += fmt.Sprintf("announced %d, withdrawn %d, malformed %d\n", s.AnnouncedIn, s.WithdrawnIn, s.Malformed)
	if e.over != nil {
		out += fmt.Sprintf("over: %v graceful=%v restart=%v\n", e.over.Err(), e.over.Graceful, e.over.Restart)
	}
	return out
}

// recordSession has every frame that this version sends, and every attribute.
func recordSession(t *testing.T, file string) {
	t.Helper()
	book, offers := NewBook("site/london", 7), NewBook("hub/a", 3)
	list := london("4", "50")
	list[federation.NLRI{Domain: "example.org", Family: federation.E164, Key: "1555010", MinLen: 10, MaxLen: 11}] = &federation.Attributes{
		Origin:      federation.Origin{Site: "london", Seq: 9, Group: "europe"},
		Communities: []federation.Community{federation.NoExport, "blue"},
		NextHops:    []federation.NextHop{{URI: "sip:gw.example.org", Transport: "tls", SRV: true, Weight: 5, SocketGroup: "x"}},
		Media:       federation.MediaCaps{Codecs: []string{"opus", "pcma"}, Video: true, SRTP: true, T38: true, VoiceDirect: true},
		Fallback:    federation.Fallback{E164: "+15550100", Strip: 2, Prepend: "+1555"},
		Capacity:    federation.Capacity{MaxCalls: 30, CallsPerSecond: 2},
		Cost:        7, Priority: 2, ValidUntil: noon.Add(24 * time.Hour), OTC: "hub/z", Emergency: true,
		Authorised: []string{"noa-1"}, Bundle: []byte{1, 2}, Signature: []byte{3},
	}
	book.Set(list)
	offers.Set(london("1"))
	site, hub := siteConfig(), hubConfig()
	site.SIP = []Address{{"tls", "192.0.2.7:5061"}, {"tcp", "192.0.2.7:5060"}, {"udp", "192.0.2.7:5060"}}
	var out bytes.Buffer
	p := newPair(t, site, hub, book, offers)
	for name, e := range map[byte]*end{'s': p.a, 'h': p.b} {
		e.log = func(f *exchangev1.Frame) {
			raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(f)
			if err != nil {
				t.Fatal(err)
			}
			out.WriteByte(name)
			out.Write(binary.AppendUvarint(nil, uint64(len(raw))))
			out.Write(raw)
		}
	}
	p.b.handle(DirectoryChanged{Hubs: []Hub{{ID: "a", GRPC: "192.0.2.1:7000", SIP: []Address{{"tls", "192.0.2.1:5061"}}, Software: "1"}}}, p.now)
	p.b.handle(Status{CPUPercent: 3, Calls: 2, CallsPerSecond: 1, CoreSessions: []federation.HubID{"b"}}, p.now)
	p.start()
	delete(list, digits("50", 4))
	book.Set(list)
	p.a.handle(Changed{}, p.now)
	p.settle()
	p.b.handle(RequestRefresh{Family: federation.E164, Filter: "1"}, p.now)
	p.a.handle(PolicyChanged{}, p.now)
	p.wait(6 * time.Second)
	p.a.handle(Stop{Code: exchangev1.CeaseCode_CEASE_CODE_SHUTDOWN, Text: "bye", Graceful: true, Restart: time.Minute}, p.now)
	p.settle()
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}
