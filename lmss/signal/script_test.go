package signal

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/mss-federation/mss/lmss/registrar"
	"github.com/mss-federation/mss/pkg/federation"
	"github.com/mss-federation/mss/pkg/siptransport"
)

// run carries out one command of a conversation:
//
//	A invite 4002 [nosdp] [header: value]   A reinvite [hold|resume|nosdp|ip6]   A cancel   A ack [sdp]
//	ring 4006 at B C/0.5   (registers phones of a user, with q)
//	restart   (the site's process is killed and begins again from its store)
//	Ha request REGISTER 4002   (as that user)
//	Hb continue Ha   (the other's dialog)
//	Hb share Ha   (the INVITE of the other, through this hub)
//	Ha drop   Ha die   Ha revive   Ha freeze   Ha thaw   (a hub's connection, see hub)
//	B respond 180 [sdp|early|hold|ip6] [by=hub/a] [unreachable] [tag=other] [contact=HOST] [to=BYE|FIRST]  A bye   A info TEXT   A options   A repeat   A deaf   A hears   wait 500ms
func (s *scene) run(line string) {
	words := strings.Fields(line)
	if words[0] == "wait" {
		d, err := time.ParseDuration(words[1])
		if err != nil {
			s.t.Fatal(err)
		}
		<-time.After(d)
		settle()
		s.show()
		return
	}
	if words[0] == "ring" {
		s.ring(words[1], words[3:])
		return
	}
	p := s.phone(words[0])
	s.command(p, words[1:], line)
	settle()
	s.show()
}

func (s *scene) show() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flush()
}

// command lets go of the lock also when the test ends within: the phones that are still up need it to end.
func (s *scene) command(p *phone, words []string, line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.command(words[0], words[1:], line)
}

// do is command for a whole line.
func (p *phone) do(line string) {
	words := strings.Fields(line)
	p.command(words[0], words[1:], line)
}

func (p *phone) command(verb string, args []string, line string) {
	if p.hub != nil && p.hub.command(verb) {
		return
	}
	switch verb {
	case "invite":
		p.dial(args, line)
	case "respond":
		p.respond(args)
	case "ack":
		p.acknowledge(has(args, "sdp"))
	case "cancel":
		p.derive("CANCEL", "")
	case "ack487": // the ACK to a failure: part of the INVITE's transaction
		p.derive("ACK", p.failure)
	case "reinvite":
		p.reinvite(args)
	case "bye":
		p.seq++
		p.send(p.write("BYE", p.target, p.seq, "", "", ""))
	case "options":
		p.seq++
		p.send(p.write("OPTIONS", p.target, p.seq, "", "", ""))
	case "info":
		p.seq++
		p.send(p.write("INFO", p.target, p.seq, "", "application/dtmf-relay", strings.Join(args, " ")))
	case "update":
		p.seq++
		p.send(p.write("UPDATE", p.target, p.seq, "", "", ""))
	case "request": // outside any dialog
		p.callID, p.ours, p.theirs = "request-"+p.name+"@example.org", "<sip:"+args[1]+"@example.org>;tag=r", "<sip:"+args[1]+"@example.org>"
		p.seq++
		p.send(p.write(args[0], "sip:example.org", p.seq, "", "", ""))
	case "continue": // another one's dialog, as if it were this one's
		other := p.scene.phones[args[0]]
		p.callID, p.ours, p.theirs, p.target, p.seq = other.callID, other.ours, other.theirs, other.target, other.seq
	case "repeat":
		p.send(p.sent)
	case "copy": // the last INVITE through another connection: a transaction of its own
		p.branch++
		p.sent = regexp.MustCompile(`branch=[^;]*`).ReplaceAllString(p.sent, fmt.Sprintf("branch=z9hG4bK%s%d", p.name, p.branch))
		p.send(p.sent)
	case "share": // another hub's copy of the INVITE that came through the first one
		other := p.scene.phones[args[0]]
		p.callID, p.ours, p.theirs, p.caller = other.callID, other.ours, other.theirs, true
		p.target, p.sdp, p.seq, p.asked = other.target, other.sdp, other.seq, other.asked
		p.branch++
		p.sent = regexp.MustCompile(`branch=[^;]*`).ReplaceAllString(other.sent, fmt.Sprintf("branch=z9hG4bK%s%d", p.name, p.branch))
		p.sent = strings.ReplaceAll(p.sent, other.addr.String()+";transport=tls;lr;mss=ha", p.addr.String()+";transport=tls;lr;mss=hb")
		p.send(p.sent)
	case "same": // a request with the CSeq of the last one
		p.send(p.write(args[0], p.target, p.seq, "", "application/dtmf-relay", "5"))
	case "deaf":
		p.deaf = true
	case "hears":
		p.deaf = false
	default:
		p.scene.t.Fatalf("unknown command %q", line)
	}
}

// ring makes phones known as bindings of a user, as if they had registered.
func (s *scene) ring(name string, phones []string) {
	var bindings []registrar.Binding
	for _, one := range phones {
		letter, q, _ := strings.Cut(one, "/")
		p := s.phone(letter)
		b := registrar.Binding{
			AoR: federation.User(name), Contact: "<sip:" + name + "@" + p.addr.String() + ">", RequestURI: "sip:" + name + "@" + p.addr.String(),
			Target:  siptransport.Flow{Transport: siptransport.UDP, Local: s.site, Remote: p.addr},
			Expires: time.Now().Add(time.Hour), Q: registrar.DefaultQ,
		}
		b.Flow = b.Target
		if q != "" {
			b.Q = registrar.DefaultQ / 2
		}
		bindings = append(bindings, b)
	}
	s.registrar.Restore(time.Now(), bindings)
}

func has(args []string, word string) bool { return slices.Contains(args, word) }

func (p *phone) dial(args []string, line string) {
	p.caller, p.seq, p.asked = true, 1, 1
	p.callID = fmt.Sprintf("call-%s-%d@%s", p.name, p.branch, p.addr.Addr())
	p.ours = fmt.Sprintf(`"Phone %s" <sip:%s@example.org>;tag=%stag`, p.name, p.number, p.name)
	p.theirs = "<sip:" + args[0] + "@example.org>"
	body, kind := p.offer("sendrecv"), "application/sdp"
	if has(args, "nosdp") {
		body, kind = "", ""
	}
	extra := ""
	if _, headers, ok := strings.Cut(line, "|"); ok {
		for h := range strings.SplitSeq(headers, "|") {
			extra += strings.TrimSpace(h) + "\r\n"
		}
	}
	p.sent = p.write("INVITE", "sip:"+args[0]+"@example.org", 1, extra, kind, body)
	p.send(p.sent)
}

// respond answers the last INVITE, or with to=METHOD the last request of that method.
func (p *phone) respond(args []string) {
	status, err := strconv.Atoi(args[0])
	if err != nil {
		p.scene.t.Fatal(err)
	}
	req, body, extra := p.invite, "", ""
	for _, a := range args[1:] {
		switch {
		case a == "sdp":
			body = p.offer("sendrecv")
		case a == "pcmu":
			body = strings.NewReplacer("AVP 8 ", "AVP 0 ", "rtpmap:8 PCMA", "rtpmap:0 PCMU").Replace(p.offer("sendrecv"))
		case a == "hold":
			body = p.offer("recvonly")
		case a == "ip6":
			body = version6(p.offer("sendrecv"))
		case a == "unreachable":
			extra += "X-MSS-Voice: unreachable\r\n"
		case strings.HasPrefix(a, "by="):
			extra = "X-MSS-By: " + a[3:] + "\r\n"
		case strings.HasPrefix(a, "contact="): // another host than the phone's address
			p.contact = a[8:]
		case strings.HasPrefix(a, "tag="): // another early dialog than the one before
			p.as = a[4:]
		case strings.HasPrefix(a, "to="):
			req = p.replyTo[a[3:]]
		}
	}
	p.reply(req, status, extra, body)
}

// version6 is SDP whose voice is IPv6.
func version6(sdp string) string {
	return regexp.MustCompile(`IN IP4 \S+`).ReplaceAllString(sdp, "IN IP6 2001:db8::2")
}

func (p *phone) acknowledge(sdp bool) {
	body, kind := "", ""
	if sdp {
		body, kind = p.offer("sendrecv"), "application/sdp"
	}
	p.send(p.write("ACK", p.target, p.asked, "", kind, body))
}

func (p *phone) reinvite(args []string) {
	p.seq++
	p.asked = p.seq
	body, kind := p.offer("sendrecv"), "application/sdp"
	switch {
	case has(args, "hold"):
		p.sdp--
		body = p.offer("sendonly")
	case has(args, "ip6"):
		body = version6(body)
	case has(args, "nosdp"):
		body, kind = "", ""
	}
	p.sent = p.write("INVITE", p.target, p.seq, "", kind, body)
	p.send(p.sent)
}

// derive sends the CANCEL or the failure's ACK of the INVITE that was sent (RFC 3261 §9.1, §17.1.1.3).
func (p *phone) derive(method, to string) {
	msg, err := sip.ParseMessage([]byte(p.sent))
	if err != nil {
		p.scene.t.Fatal(err)
	}
	inv := msg.(*sip.Request)
	if to == "" {
		to = inv.To().Value()
	}
	p.send(fmt.Sprintf("%s %s SIP/2.0\r\nVia: %s\r\nMax-Forwards: 70\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nContent-Length: 0\r\n\r\n",
		method, inv.Recipient.String(), inv.Via().Value(), inv.From().Value(), to, inv.CallID().Value(), inv.CSeq().SeqNo, method))
}
