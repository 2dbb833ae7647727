package phone

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// Rule names a rule that a phone checks, so that a test can allow a breach that it provoked.
type Rule string

// The rules.
const (
	RuleSyntax    Rule = "syntax"          // RFC 3261 §7, §20, §25
	RuleSource    Rule = "source"          // messages come from the address that is talked to (§18.2.2)
	RuleVia       Rule = "via"             // a response carries our Via and no other (§8.1.3.3, §8.2.6.2)
	RuleEcho      Rule = "echo"            // a response repeats From, To, Call-ID, CSeq (§8.2.6.2)
	RuleToTag     Rule = "to-tag"          // one To tag on the caller's leg
	RuleContact   Rule = "contact"         // §12.1.1, §8.1.1.8; an address that can be reached
	RuleAnswer    Rule = "sdp-answer"      // one SDP answer per offer, repeated unchanged (RFC 3264)
	RuleSDP       Rule = "sdp"             // RFC 8866, RFC 3264
	RuleRepeat    Rule = "repeated-final"  // a final response was sent again although it was acknowledged
	RuleUnknown   Rule = "unknown"         // belongs to no transaction or dialog of this phone
	RuleCSeq      Rule = "cseq"            // grows within a dialog and direction (§12.2.1.1)
	RuleTags      Rule = "tags"            // of requests in a dialog (§12.2.2)
	RuleTarget    Rule = "request-uri"     // is our Contact (§12.2.1.1, §16.5)
	RuleRegister  Rule = "register"        // the 200 lists our Contact as sent (§10.3)
	RuleFlow      Rule = "flow"            // a phone that registered over TCP or TLS is called over that connection (RFC 5626)
	RuleOrder     Rule = "order"           // a provisional after the final response, an ACK for nothing …
	RuleAfterEnd  Rule = "after-end"       // a call that the far side ended is not ended again
	RuleStatus    Rule = "status"          // a response that makes no sense here
	RuleLateCheck Rule = "max-forwards"    // 0 or above 70
	RuleNetwork   Rule = "network"         // what the phone could not send or read
	RuleInterval  Rule = "retransmissions" // an UDP request came again although it was answered
)

// Violation is one breach of a rule that was seen.
type Violation struct {
	At     time.Time
	Rule   Rule
	Detail string
}

// String is the violation in one line.
func (v Violation) String() string {
	return fmt.Sprintf("%s %s: %s", v.At.Format("15:04:05.000"), v.Rule, v.Detail)
}

// Entry is one message that went out or came in.
type Entry struct {
	At   time.Time
	Out  bool
	Peer netip.AddrPort
	Text string
}

// journal is what the phone saw. It outlives Close.
type journal struct {
	mu struct {
		sync.Mutex
		violations []Violation
		entries    []Entry
	}
}

func (j *journal) violation(rule Rule, format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.mu.violations = append(j.mu.violations, Violation{At: time.Now(), Rule: rule, Detail: fmt.Sprintf(format, args...)})
}

func (j *journal) message(out bool, peer netip.AddrPort, data []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.mu.entries = append(j.mu.entries, Entry{At: time.Now(), Out: out, Peer: peer, Text: string(data)})
}

// Violations are the breaches seen so far, without those of the rules named.
func (p *Phone) Violations(except ...Rule) []Violation {
	p.journal.mu.Lock()
	defer p.journal.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.journal.mu.violations), func(v Violation) bool {
		return slices.Contains(except, v.Rule)
	})
}

// Transcript is all that was sent and received so far, in order.
func (p *Phone) Transcript() []Entry {
	p.journal.mu.Lock()
	defer p.journal.mu.Unlock()
	return slices.Clone(p.journal.mu.entries)
}

// TranscriptText is the transcript for a failed test's log.
func (p *Phone) TranscriptText() string {
	var b strings.Builder
	for _, e := range p.Transcript() {
		arrow := "<--"
		if e.Out {
			arrow = "-->"
		}
		fmt.Fprintf(&b, "%s %s %s %v\n%s\n", e.At.Format("15:04:05.000000"), p.opt.Name, arrow, e.Peer, e.Text)
	}
	return b.String()
}
