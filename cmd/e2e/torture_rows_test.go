package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mss-federation/mss/cmd/internal/rig/phone"
	"github.com/mss-federation/mss/cmd/internal/rig/sipmsg"
)

// outcome is what a section of RFC 4475 or 5118 asks for when an office, the end that its callers talk to, gets the message
// that the section is about.
type outcome struct {
	rfc, section, name string
	want               int    // status of the final answer
	counted            string // instead: no answer, and the office counts the message so
	port               uint16 // of the top Via, where the answer goes; 0 is 5060
	registers          string // the user that proves to be this one
	bound              []string
	rings              string // the user whose phone rings, and answers with want
	target             string // where the caller of it is sent the BYE
	media              string // what the phone is shown
	hops               string // the Max-Forwards that it is shown
	seen               *fields
	header             string // "Name: value" that the answer has too
}

// fields are what was read of a message, as the answer to it shows.
type fields struct {
	callID, cseq, from, to string // to and from are tags; an empty to: the office made one
	vias                   int
}

const (
	pcmu = "audio RTP/AVP 0 12, video off RTP/AVP 31"
	g726 = "audio RTP/AVP 2, video off RTP/AVP 107"
)

// Where a section leaves a choice, the row says which and why. None ends at a 401 for want of an identity: what asks for
// proof gets it, and 3.3.7 is about the 401 itself.
var rfc4475Rows = []outcome{
	// Well-formed, but inside a dialog that there is not: To has a tag.
	{rfc: "4475", section: "3.1.1.1", name: "wsinv", want: 481, seen: &fields{"wsinv.ndaksdj@192.0.2.1", "0009 INVITE", "98asjd8", "1918181833n", 3}},
	{
		rfc: "4475", section: "3.1.1.2", name: "intmeth", want: 405, header: "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, REGISTER",
		seen: &fields{`intmeth.word%ZK-!.*_+'@word` + "`" + `~)(><:\/"][?}{`, "139122385 !interesting-Method0123456789_*+`.%indeed'~", "_token~1'+`*%!-.", "", 1},
	},
	// The user part is sips:user@example.com, whom there is not: it is neither "user" nor a URI of its own.
	{rfc: "4475", section: "3.1.1.3", name: "esc01", want: 404, seen: &fields{"esc01.239409asdfakjkn23onasd0-3234", "234234 INVITE", "938", "", 1}},
	// The user in To is not "null-", who sends it: the name does not end at the NUL.
	{
		rfc: "4475", section: "3.1.1.4", name: "escnull", want: 403, registers: "null-",
		seen: &fields{"escnull.39203ndfvkjdasfkq3w4otrq0adsfdfnavd", "14398234 REGISTER", "839923423", "", 1},
	},
	// RE%47IST%45R is not REGISTER.
	{
		rfc: "4475", section: "3.1.1.5", name: "esc02", want: 405,
		seen: &fields{"esc02.asdfnqwo34rq23i34jrjasdcnl23nrlknsdf", "29344 RE%47IST%45R", "f232jadfj23", "", 1},
	},
	{rfc: "4475", section: "3.1.1.6", name: "lwsdisp", want: 200, seen: &fields{"lwsdisp.1234abcd@funky.example.com", "60 OPTIONS", "323", "", 1}},
	{
		rfc: "4475", section: "3.1.1.7", name: "longreq", want: 200, rings: "user", media: pcmu, hops: "69",
		target: "sip:" + strings.Repeat("amazinglylongcallername", 5) + "@host5.example.net",
		seen: &fields{
			"longreq.one" + strings.Repeat("really", 20) + "longcallid", "3882340 INVITE", longTag, "", 34,
		},
	},
	// What follows the request in its datagram is discarded: nobody named joe is called, nor refused.
	{
		rfc: "4475", section: "3.1.1.8", name: "dblreq", want: 200, registers: "j.user", bound: []string{"sip:j.user@host.example.com"},
		seen: &fields{"dblreq.0ha0isndaksdj99sdfafnl3lk233412", "8 REGISTER", "43251j3j324", "", 1},
	},
	{rfc: "4475", section: "3.1.1.9", name: "semiuri", want: 200, seen: &fields{"semiuri.0ha0isndaksdj", "8 OPTIONS", "33242", "", 1}},
	{rfc: "4475", section: "3.1.1.10", name: "transports", want: 200, seen: &fields{"transports.kijh4akdnaqjkwendsasfdj", "60 OPTIONS", "323", "", 5}},
	// Framed and read; what MESSAGE asks for is not served.
	{
		rfc: "4475", section: "3.1.1.11", name: "mpart01", want: 405,
		seen: &fields{"3d9485ad0c49859b@Zmx1ZmZ5LW1hYy0xNi5sb2NhbA..", "1 MESSAGE", "2fb0dcc9", "", 1},
	},
	// Well-formed answers to what the office never asked.
	{rfc: "4475", section: "3.1.1.12", name: "unreason", counted: "sip_unknown_responses"},
	{rfc: "4475", section: "3.1.1.13", name: "noreason", counted: "sip_unknown_responses"},
	{rfc: "4475", section: "3.1.2.1", name: "badinv01", want: 400},
	{rfc: "4475", section: "3.1.2.2", name: "clerr", want: 400},
	{rfc: "4475", section: "3.1.2.3", name: "ncl", want: 400},
	{rfc: "4475", section: "3.1.2.4", name: "scalar02", want: 400},
	{rfc: "4475", section: "3.1.2.5", name: "scalarlg", counted: "sip_malformed_dropped"},
	{rfc: "4475", section: "3.1.2.6", name: "quotbal", want: 400, port: 5050},
	{rfc: "4475", section: "3.1.2.7", name: "ltgtruri", want: 400},
	{rfc: "4475", section: "3.1.2.8", name: "lwsruri", want: 400},
	{rfc: "4475", section: "3.1.2.9", name: "lwsstart", want: 400},
	{rfc: "4475", section: "3.1.2.10", name: "trws", want: 400},
	{rfc: "4475", section: "3.1.2.11", name: "escruri", want: 400},
	// The section lets an element ignore the value if it was not going to use it, and an office is not.
	{
		rfc: "4475", section: "3.1.2.12", name: "baddate", want: 200, rings: "user", target: "sip:caller@host5.example.net", media: pcmu, hops: "69",
		seen: &fields{"baddate.239423mnsadf3j23lj42--sedfnm234", "1392934 INVITE", "2234923", "", 1},
	},
	{rfc: "4475", section: "3.1.2.13", name: "regbadct", want: 400},
	{rfc: "4475", section: "3.1.2.14", name: "badaspec", want: 400},
	{rfc: "4475", section: "3.1.2.15", name: "baddn", want: 400},
	{rfc: "4475", section: "3.1.2.16", name: "badvers", want: 505},
	{rfc: "4475", section: "3.1.2.17", name: "mismatch01", want: 400},
	// 400 is acceptable too; the section prefers this.
	{rfc: "4475", section: "3.1.2.18", name: "mismatch02", want: 501},
	{rfc: "4475", section: "3.1.2.19", name: "bigcode", counted: "sip_malformed_dropped"},
	// Falling back to RFC 2543 is allowed too.
	{rfc: "4475", section: "3.2.1", name: "badbranch", want: 400},
	{rfc: "4475", section: "3.3.1", name: "insuf", want: 400, header: "CSeq: 193942 INVITE"},
	{rfc: "4475", section: "3.3.2", name: "unkscm", want: 416, seen: &fields{"unkscm.nasdfasser0q239nwsdfasdkl34", "3923423 OPTIONS", "384", "", 1}},
	{rfc: "4475", section: "3.3.3", name: "novelsc", want: 416, seen: &fields{"novelsc.asdfasser0q239nwsdfasdkl34", "3923423 OPTIONS", "384", "", 1}},
	// A registrar wants a SIP URI in To.
	{
		rfc: "4475", section: "3.3.4", name: "unksm2", want: 400, registers: "user",
		seen: &fields{"unksm2.daksdj@hyphenated-host.example.com", "234902 REGISTER", "3234233", "", 1},
	},
	// An office answers as the end: it lists what Require names.
	{
		rfc: "4475", section: "3.3.5", name: "bext01", want: 420, header: "Unsupported: nothingSupportsThis, nothingSupportsThisEither",
		seen: &fields{"bext01.0ha0isndaksdj", "8 OPTIONS", "242etr", "", 1},
	},
	{
		rfc: "4475", section: "3.3.6", name: "invut", want: 415, header: "Accept: application/sdp",
		seen: &fields{"invut.0ha0isndaksdjadsfij34n23d", "235448 INVITE", "8392034", "", 1},
	},
	// A registrar that asks for proof rejects it with a challenge of a scheme that it understands.
	{rfc: "4475", section: "3.3.7", name: "regaut01", want: 401, seen: &fields{"regaut01.0ha0isndaksdj", "9338 REGISTER", "87321hj23128", "", 1}},
	{rfc: "4475", section: "3.3.8", name: "multi01", want: 400},
	{rfc: "4475", section: "3.3.9", name: "mcl01", want: 400},
	{rfc: "4475", section: "3.3.10", name: "bcast", counted: "sip_unknown_responses"},
	// An end processes it as if Max-Forwards were positive.
	{rfc: "4475", section: "3.3.11", name: "zeromf", want: 200, seen: &fields{"zeromf.jfasdlfnm2o2l43r5u0asdfas", "39234321 OPTIONS", "3ghsd41", "", 1}},
	{
		rfc: "4475", section: "3.3.12", name: "cparam01", want: 200, registers: "watson", bound: []string{"sip:+19725552222@gw1.example.net;unknownparam"},
		seen: &fields{"cparam01.70710@saturn.example.com", "2 REGISTER", "DkfVgjkrtMwaerKKpe", "", 1},
	},
	{
		rfc: "4475", section: "3.3.13", name: "cparam02", want: 200, registers: "watson", bound: []string{"<sip:+19725552222@gw1.example.net;unknownparam>"},
		seen: &fields{"cparam02.70710@saturn.example.com", "3 REGISTER", "838293", "", 1},
	},
	{
		rfc: "4475", section: "3.3.14", name: "regescrt", want: 200, registers: "user", bound: []string{"<sip:user@example.com?Route=%3Csip:sip.example.com%3E>"},
		seen: &fields{"regescrt.k345asrl3fdbv@192.0.2.1", "14398234 REGISTER", "8", "", 1},
	},
	{rfc: "4475", section: "3.3.15", name: "sdp01", want: 406, seen: &fields{"sdp01.ndaksdj9342dasdd", "8 INVITE", "234", "", 1}},
	// To be accepted where the old version is still served: no tag, branch, Contact, Max-Forwards or Content-Length.
	{
		rfc: "4475", section: "3.4.1", name: "inv2543", want: 200, rings: "UserB", target: "sip:+13035551111@ift.client.example.net;user=phone",
		media: "audio RTP/AVP 0", hops: "70", header: "Record-Route: <sip:UserB@example.com;maddr=ss1.example.com>",
		seen: &fields{"inv2543.1717@ift.client.example.com", "56 INVITE", "", "", 1},
	},
}

const longTag = "12982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982982424"

var rfc5118Rows = []outcome{
	{
		rfc: "5118", section: "4.1", name: "ipv6-good", want: 200, registers: "user", bound: []string{`"Caller" <sip:caller@[2001:db8::1]>`},
		seen: &fields{"SSG9559905523997077@hlau_4100", "98176 REGISTER", "81x2", "", 1},
	},
	{rfc: "5118", section: "4.2", name: "ipv6-bad", want: 400},
	// Well-formed; that the port became part of the address is its sender's fault.
	{
		rfc: "5118", section: "4.3", name: "port-ambiguous", want: 200, registers: "user", bound: []string{`"Caller" <sip:caller@[2001:db8::1]>`},
		seen: &fields{"SSG9559905523997077@hlau_4100", "98176 REGISTER", "81x2", "", 1},
	},
	{
		rfc: "5118", section: "4.4", name: "port-unambiguous", want: 200, registers: "user", bound: []string{`"Caller" <sip:caller@[2001:db8::1]>`},
		seen: &fields{"SSG9559905523997077@hlau_4100", "98176 REGISTER", "81x2", "", 1},
	},
	// Parsed and processed on: there is no such dialog.
	{
		rfc: "5118", section: "4.5", name: "via-received-param-with-delim", want: 481,
		seen: &fields{"SSG9559905523997077@hlau_4100", "321 BYE", "81x2", "bd76ya", 1},
	},
	{rfc: "5118", section: "4.5", name: "via-received-param-no-delim", want: 200, seen: &fields{"SSG95523997077@hlau_4100", "921 OPTIONS", "81x2", "", 1}},
	// Read, and its voice refused: this office has no IPv6 address from which to send there.
	{
		rfc: "5118", section: "4.6", name: "ipv6-in-sdp", want: 488, header: `Warning: 301 london.example.org "Incompatible network address formats: ` +
			`no common address family for voice: give both ends IPv4, or both IPv6"`,
		seen: &fields{"SSG9559905523997077@hlau_4100", "8612 INVITE", "81x2", "", 1},
	},
	{rfc: "5118", section: "4.7", name: "mult-ip-in-header", want: 481, port: 6050, seen: &fields{"997077@lau_4100", "89187 BYE", "81x2", "9817--94", 3}},
	{
		rfc: "5118", section: "4.8", name: "mult-ip-in-sdp", want: 200, rings: "user", target: "sip:caller@[2001:db8::9:1]",
		media: "audio RTP/AVP 0, video off RTP/AVP 107", hops: "69",
		seen: &fields{"SSG9559905523997077@hlau_4100", "8912 INVITE", "81x2", "", 1},
	},
	{
		rfc: "5118", section: "4.9", name: "ipv4-mapped-ipv6", want: 486, port: 19823, rings: "user", media: g726, hops: "69",
		seen: &fields{"SSG9559905523997077@hlau_4100", "612 INVITE", "81x2", "", 2},
	},
	{rfc: "5118", section: "4.10", name: "ipv6-bug-abnf-3-colons", want: 200, seen: &fields{"G9559905523997077@hlau_4100", "689 OPTIONS", "810x2", "", 1}},
	{rfc: "5118", section: "4.10", name: "ipv6-correct-abnf-2-colons", want: 200, seen: &fields{"G9559905523997077@hlau_4100", "689 OPTIONS", "810x2", "", 1}},
}

// streamed is the outcome over a connection: the final answers, and whether it closes then.
type streamed struct {
	outcome

	answers []int
	closes  bool
}

func onStream(section, name string, closes bool, answers ...int) streamed {
	return streamed{outcome{rfc: "4475", section: section, name: name}, answers, closes}
}

// streamRows: where a message's end cannot be known, the connection closes; else it goes on with the next message.
var streamRows = []streamed{
	onStream("3.1.1.7", "longreq", false, 486),
	// Two requests here, and the second has five bytes more than its Content-Length says: no message begins with them.
	{outcome{rfc: "4475", section: "3.1.1.8", name: "dblreq", registers: "j.user"}, []int{200, 404}, true},
	onStream("3.1.1.11", "mpart01", false, 405),
	onStream("3.1.2.1", "badinv01", false, 400),
	onStream("3.1.2.2", "clerr", true), // waited for, and given up
	onStream("3.1.2.3", "ncl", true, 400),
	onStream("3.1.2.4", "scalar02", false, 400),
	onStream("3.1.2.5", "scalarlg", false),
	onStream("3.1.2.6", "quotbal", false, 400),
	onStream("3.1.2.7", "ltgtruri", false, 400),
	onStream("3.1.2.8", "lwsruri", false, 400),
	onStream("3.1.2.9", "lwsstart", false, 400),
	onStream("3.1.2.10", "trws", false, 400),
	onStream("3.1.2.11", "escruri", false, 400),
	onStream("3.1.2.12", "baddate", false, 486),
	onStream("3.1.2.13", "regbadct", false, 400),
	onStream("3.1.2.14", "badaspec", false, 400),
	onStream("3.1.2.15", "baddn", false, 400),
	onStream("3.1.2.16", "badvers", false, 505),
	onStream("3.1.2.17", "mismatch01", false, 400),
	onStream("3.1.2.18", "mismatch02", false, 501),
	onStream("3.1.2.19", "bigcode", false),
	onStream("3.3.1", "insuf", false, 400),
	onStream("3.3.8", "multi01", false, 400),
	onStream("3.3.9", "mcl01", true, 400),
	onStream("3.4.1", "inv2543", true, 400), // only a datagram may leave out its length (RFC 3261 §18.3)
}

// check compares an answer with what the row wants.
func (o outcome) check(t *testing.T, got reply) {
	t.Helper()
	if got.status != o.want {
		t.Fatalf("answered with\n%s\nwant %d", got.text, o.want)
	}
	if name, value, ok := strings.Cut(o.header, ": "); ok && got.get(name) != value {
		t.Errorf("%s is %q, want %q", name, got.get(name), value)
	}
	if o.seen == nil {
		return
	}
	seen := fields{got.get("call-id"), got.get("cseq"), got.tag("from"), got.tag("to"), 0}
	for _, line := range got.all("via") {
		seen.vias += 1 + strings.Count(line, ",")
	}
	if o.seen.to == "" && seen.to != "" {
		seen.to = ""
	}
	if seen != *o.seen {
		t.Errorf("read as\n%+v\nwant\n%+v", seen, *o.seen)
	}
}

// checkInvite compares what rings at the phone: the office's own words, made from what it read.
func (o outcome) checkInvite(t *testing.T, m *sipmsg.Message, p *phone.Phone) {
	t.Helper()
	if m.URI != p.Contact() || len(m.All("via")) != 1 || m.Get("max-forwards") != o.hops {
		t.Errorf("the phone is shown %q, Via %q, Max-Forwards %s", m.URI, m.All("via"), m.Get("max-forwards"))
	}
	if from := m.Get("from"); !strings.Contains(from, "<sip:caller@london.example.org>;tag=") {
		t.Errorf("the call is from %s", from)
	}
	var media []string
	for line := range strings.SplitSeq(string(m.Body), "\r\n") {
		kind, rest, _ := strings.Cut(line, " ")
		if kind, ok := strings.CutPrefix(kind, "m="); ok {
			port, rest, _ := strings.Cut(rest, " ")
			if port == "0" {
				kind += " off"
			}
			media = append(media, kind+" "+rest)
		}
	}
	if got := strings.Join(media, ", "); got != o.media {
		t.Errorf("the phone is offered %s, want %s", got, o.media)
	}
	for _, name := range []string{"Date", "Record-Route", "Route"} {
		if value := m.Get(name); value != "" {
			t.Errorf("the phone is shown %s: %s", name, value)
		}
	}
}

// TestTortureTable: every message has its row, once.
func TestTortureTable(t *testing.T) {
	t.Parallel()
	for rfc, rows := range map[string][]outcome{"4475": rfc4475Rows, "5118": rfc5118Rows} {
		want := map[string]int{"4475": 49, "5118": 12}[rfc]
		var names []string
		for _, row := range rows {
			names = append(names, fmt.Sprint(row.rfc, row.name))
		}
		slices.Sort(names)
		if n := len(slices.Compact(names)); n != want || len(rows) != want {
			t.Errorf("RFC %s: %d rows for %d messages, want %d", rfc, len(rows), n, want)
		}
	}
}
