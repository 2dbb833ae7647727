package dialplan

import (
	"strings"

	"github.com/mss-federation/mss/pkg/federation"
)

// Decide says where a call goes. It never fails: what cannot be placed has a status. Equal queries have
// equal decisions as long as the users are the same.
func (p *Plan) Decide(q Query) Decision {
	d := Decision{Steps: make([]Step, 0, 4)}
	number := q.Called
	if d.decideUser(p, number) {
		return d
	}
	if stripped := withoutSeparators(number); stripped != number {
		d.step("number", string(stripped), "visual separators were taken out (RFC 3966 §5.1.1)")
		number = stripped
		if d.decideUser(p, number) {
			return d
		}
	}
	switch {
	case number == "":
		return d.refuse(484, "Address Incomplete", "number", "no number was dialled")
	case !isNumber(string(number)):
		return d.refuse(404, "Not Found", "number", "it is neither a user of this site nor a number")
	case digits(string(number)) > MaxDigits:
		return d.refuse(404, "Not Found", "number", "it has more digits than any number")
	}
	if p.decideOwn(&d, number) {
		return d
	}
	return p.decideUplink(d, q.Source, number)
}

// decideUser is the first rule: an own user's name wins over everything, whatever it looks like.
func (d *Decision) decideUser(p *Plan, number federation.Number) bool {
	if number == "" {
		return false
	}
	name := federation.User(number)
	switch p.users(name) {
	case Known:
		d.step("user", "local user", "it is a user of this site")
		d.Targets = []Target{{Kind: LocalUser, User: name, Number: number}}
		return true
	case Disabled:
		*d = d.refuse(480, "Temporarily Unavailable", "user", "the user is disabled")
		return true
	default:
		return false
	}
}

// decideOwn keeps what lies in this site's own ranges here: sent to a hub, it would come back.
func (p *Plan) decideOwn(d *Decision, number federation.Number) bool {
	for _, own := range p.own {
		switch own.fit(number) {
		case inside:
			*d = d.refuse(404, "Not Found", "prefix", "it lies in this site's own range, where no user has it")
			return true
		case tooShort:
			*d = d.refuse(484, "Address Incomplete", "prefix", "it begins like this site's own numbers but is shorter")
			return true
		case outside:
		}
	}
	return false
}

func (p *Plan) decideUplink(d Decision, source Source, number federation.Number) Decision {
	switch {
	case source == FromUplink:
		return d.refuse(404, "Not Found", "uplink", "it came from another site and is not ours: sites pass no calls on")
	case !p.uplink:
		return d.refuse(404, "Not Found", "uplink", "this site has no uplink to other sites")
	}
	d.step("uplink", "another site", "it is not ours: the hubs know whose it is")
	d.Targets = []Target{{Kind: Site, Number: number}}
	return d
}

func (d *Decision) step(rule, result, why string) {
	d.Steps = append(d.Steps, Step{Rule: rule, Result: result, Why: why})
}

func (d *Decision) refuse(status int, reason, rule, why string) Decision {
	d.step(rule, reason, why)
	d.Status, d.Reason = status, reason
	return *d
}

// withoutSeparators takes visual separators out of what is a number but for them.
func withoutSeparators(n federation.Number) federation.Number {
	if !strings.ContainsAny(string(n), "-.() ") {
		return n
	}
	out := make([]byte, 0, len(n))
	for i := range len(n) {
		switch c := n[i]; {
		case c >= '0' && c <= '9', c == '+' && len(out) == 0:
			out = append(out, c)
		case strings.IndexByte("-.() ", c) >= 0:
		default:
			return n
		}
	}
	return federation.Number(out)
}
