package forwarder_test

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/tmss/cookie"
	"github.com/mss-federation/mss/tmss/forwarder"
)

var update = flag.Bool("update", false, "write what the conversations say now into testdata")

// TestConversations plays every script of testdata/conversations: commands, a line of dashes, and what the
// sites and the trunk then see on the wire, in order. After each, no hub keeps a transaction.
//
//	route a 1 B b        hub a sends numbers with 1 to site B, then to hub b
//	A invite 1001        options: via=b, and headers as Name:value with _ for a space
//	B respond 180        options: to=BYE, via=b
//	A ack, A bye, A cancel, A ack-failure, A OPTIONS 1001, A invite-again via=b (a copy), A reinvite
//	B deaf, B hears, wait 2s, keys 2 (another key), hub a dies, hub a stops, hub a unready, hub a loses B, hub a knows b, hub a probes b
func TestConversations(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/conversations/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no conversations", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			commands, want, _ := strings.Cut(string(text), "----\n")
			var got string
			synctest.Test(t, func(t *testing.T) { got = converse(t, commands) })
			if *update {
				if err := os.WriteFile(file, []byte(commands+"----\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("the conversation differs\n--- want\n%s--- got\n%s", want, got)
			}
		})
	}
}

func converse(t *testing.T, commands string) string {
	t.Helper()
	s := newScene(t)
	for line := range strings.Lines(commands) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if !strings.HasPrefix(line, "route") {
			s.say("> %s", line)
		}
		s.run(strings.Fields(line))
	}
	for _, p := range s.peers { // what is repeated for lack of an answer is not the story
		s.mu.Lock()
		p.deaf = true
		s.mu.Unlock()
	}
	<-time.After(4 * time.Minute) // every transaction's life is over
	settle()
	s.close()
	return s.out.String()
}

// options are the words of a command behind its verb.
type options struct {
	words  []string
	via    string
	to     string
	extra  string
	body   string
	as     string // whose socket sends
	uri    string // the Request-URI
	copy   int    // of the INVITE, in order of arrival; 0 is the last
	number string
}

func readOptions(words []string) (o options) {
	o.via = "a"
	for _, w := range words {
		switch key, value, _ := strings.Cut(w, "="); {
		case key == "via" && value != "":
			o.via = value
		case key == "to" && value != "":
			o.to = value
		case key == "body" && value != "":
			o.body = value
		case key == "as":
			o.as = value
		case key == "uri":
			o.uri = value
		case key == "copy" && value != "":
			o.copy = int(value[0] - '0')
		case strings.Contains(w, ":"):
			name, value, _ := strings.Cut(w, ":")
			o.extra += name + ": " + strings.ReplaceAll(value, "_", " ") + "\r\n"
		default:
			o.words = append(o.words, w)
		}
	}
	if len(o.words) > 0 {
		o.number = o.words[0]
	}
	return o
}

// run plays one command.
func (s *scene) run(words []string) {
	switch words[0] {
	case "route":
		var hops []forwarder.Hop
		for _, name := range words[3:] {
			name, down := strings.CutSuffix(name, "(down)")
			hops = append(hops, forwarder.Hop{Node: nodes[name], Rule: words[2], Down: down})
		}
		s.hub(words[1]).routes.hops[words[2]] = hops
	case "hub":
		s.runHub(words[1], words[2], words[3:])
	case "keys":
		n, _ := strconv.Atoi(words[1]) // scripts are right
		s.keys.Set([]cookie.Key{{ID: cookie.KeyID(n), Secret: [32]byte{byte(n)}, Made: time.Now()}})
	case "wait":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			s.t.Fatal(err)
		}
		<-time.After(d)
	default:
		p := s.peers[words[0]]
		if p == nil || len(words) < 2 {
			s.t.Fatalf("no such command: %v", words)
		}
		s.mu.Lock()
		p.do(words[1], readOptions(words[2:]))
		s.mu.Unlock()
	}
	settle()
	s.show()
}

// runHub changes a hub.
func (s *scene) runHub(name, verb string, args []string) {
	h := s.hub(name)
	switch verb {
	case "dies": // and the others know it
		h.stop()
		delete(s.hubs, name)
		for other, o := range s.hubs {
			o.missing[name] = true
			o.relink(other)
		}
	case "stops": // and nobody is told
		h.stop()
		delete(s.hubs, name)
	case "unready":
		h.ready = false
	case "loses":
		h.missing[args[0]] = true
		h.relink(name)
	case "probes", "stops-probing":
		h.probed[args[0]] = verb == "probes"
		h.relink(name)
	case "knows": // who has a connection to what it lost
		h.hubs = []federation.NodeID{nodes[args[0]]}
	default:
		s.t.Fatalf("no such command: hub %s", verb)
	}
}

// do plays a peer's command.
func (p *peer) do(verb string, o options) {
	switch verb {
	case "deaf", "hears":
		p.deaf = verb == "deaf"
	case "calls-with-old-route":
		routes := p.routes
		p.newCall(o.number)
		p.routes = routes
		p.sent = p.write("INVITE", p.seq, o.extra, "")
		p.send(o.via, p.sent)
	case "forgets-route":
		p.routes = nil
	case "invite":
		p.newCall(o.number)
		if o.uri != "" {
			p.target = o.uri
		}
		p.sent = p.write("INVITE", p.seq, o.extra, o.body)
		p.send(o.via, p.sent)
	case "invite-again":
		p.branches++
		m := parse(p.sent)
		p.sent = strings.Replace(p.sent, m.first("Via"), m.first("Via")+"x", 1)
		p.sent = strings.Replace(p.sent, ";rport"+"x", "x;rport", 1)
		p.send(o.via, p.sent)
	case "repeat":
		p.send(o.via, p.sent)
	case "reinvite":
		p.seq++
		p.sent = p.write("INVITE", p.seq, o.extra, o.body)
		p.send(o.via, p.sent)
	case "ack":
		p.send(o.via, p.write("ACK", p.seq, o.extra, ""))
	case "cancel":
		p.send(o.via, p.derive("CANCEL", "", o.extra))
	case "ack-failure":
		p.send(o.via, p.derive("ACK", p.failure, ""))
	case "bye":
		p.seq++
		if o.as != "" {
			p = p.as(o.as)
		}
		p.send(o.via, p.write("BYE", p.seq, o.extra, ""))
	case "respond":
		method := o.to
		if method == "" {
			method = "INVITE"
		}
		m := p.received[method]
		if o.copy > 0 {
			m = p.copies[o.copy-1]
		}
		p.reply(m, o)
	default: // any other request outside a dialog
		p.newCall(o.number)
		if o.number == "-" {
			p.target = "sip:" + addrOf(o.via).String()
		}
		p.send(o.via, p.write(verb, p.seq, o.extra, o.body))
	}
}

// TestTrace: the ring has each message of a call once for each way it went.
func TestTrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		for _, line := range []string{"route a 1 B", "A invite 1001", "B respond 486", "A ack-failure"} {
			s.run(strings.Fields(line))
		}
		var ways string
		for _, e := range s.hub("a").trace.Find(func(id string) bool { return id == s.peers["A"].callID }) {
			ways += map[bool]string{false: "<", true: ">"}[e.Out]
		}
		if ways != "<><>><" {
			t.Errorf("traced %s", ways)
		}
		<-time.After(time.Minute)
		settle()
		s.close()
	})
}

// TestTooLargeToPassOn: what would be too large for the next node's stream is refused here.
func TestTooLargeToPassOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.run(strings.Fields("route a 1 B"))
		s.run([]string{"A", "invite", "1001", "body=" + strings.Repeat("x", 65130)})
		if got := s.out.String(); !strings.HasPrefix(got, "A <- 513 Message Too Large") {
			t.Errorf("%.200s", got)
		}
		s.run([]string{"A", "ack-failure"})
		<-time.After(time.Minute)
		settle()
		s.close()
	})
}
