package phone

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/mss-federation/mss/cmd/internal/rig/sipmsg"
	"github.com/mss-federation/mss/cmd/internal/rig/voice"
)

// describe writes SDP with the version of the last one if nothing changed, else the next (RFC 3264 §8).
func (c *Call) describe(codecs []voice.Codec, dir direction, offer *description) []byte {
	body := c.writeSDP(codecs, dir, offer)
	if c.sentSDP != nil && !bytes.Equal(body, c.sentSDP) {
		c.sdpVersion++
		body = c.writeSDP(codecs, dir, offer)
	}
	c.sentSDP = body
	return body
}

// offer is a new offer in the direction we want.
func (c *Call) offer() []byte {
	c.offered = &description{media: []string{"audio"}, direction: c.own}
	for _, codec := range c.codecs {
		c.offered.payloads = append(c.offered.payloads, int(codec))
	}
	c.offered.payloads = append(c.offered.payloads, voice.EventPayload)
	return c.describe(c.codecs, c.own, nil)
}

// read parses the SDP of a message and holds it to RFC 3264 §8: one session, the version up by one with each
// change and only then. nil: there is none to use.
func (c *Call) read(m *sipmsg.Message) *description {
	if contentType := m.Get("content-type"); !strings.EqualFold(contentType, "application/sdp") {
		c.p.journal.violation(RuleSDP, "%s with a body of type %q", m.Line(), contentType)
		return nil
	}
	d, err := parseSDP(m.Body)
	if err != nil {
		c.p.journal.violation(RuleSDP, "%s: %v", m.Line(), err)
		return nil
	}
	c.checkVersion(m, d)
	c.far, c.farBody = d, string(m.Body)
	return d
}

func (c *Call) checkVersion(m *sipmsg.Message, d *description) {
	if c.far == nil {
		return
	}
	was, err1 := strconv.ParseUint(c.far.version, 10, 64)
	is, err2 := strconv.ParseUint(d.version, 10, 64)
	same := c.farBody == string(m.Body)
	if err1 != nil || err2 != nil || d.session != c.far.session || !same && is != was+1 {
		c.p.journal.violation(RuleSDP, "%s: session %s version %s after session %s version %s, body changed: %v",
			m.Line(), d.session, d.version, c.far.session, c.far.version, !same)
	}
}

// takeAnswer uses the SDP of a response as the answer to our offer. A second one must be the same.
func (c *Call) takeAnswer(res *sipmsg.Message) {
	if c.answerBody != "" {
		if c.answerBody != string(res.Body) {
			c.p.journal.violation(RuleAnswer, "%s with another SDP answer:\n%s\nthe first was:\n%s",
				res.Line(), res.Body, c.answerBody)
		}
		return
	}
	d := c.read(res)
	if d == nil {
		return
	}
	c.answerBody = string(res.Body)
	c.checkAnswer(res, d)
	c.aim(d)
}

// checkAnswer holds an answer to our offer (RFC 3264 §6).
func (c *Call) checkAnswer(m *sipmsg.Message, d *description) {
	if c.offered == nil {
		return
	}
	if len(d.media) != len(c.offered.media) {
		c.p.journal.violation(RuleAnswer, "%s: %d media lines for our %d", m.Line(), len(d.media), len(c.offered.media))
	}
	for _, payload := range d.payloads {
		if !slices.Contains(c.offered.payloads, payload) {
			c.p.journal.violation(RuleAnswer, "%s: payload type %d was not offered", m.Line(), payload)
		}
	}
	most := c.offered.direction.mirror()
	if d.direction.sends() && !most.sends() || d.direction.receives() && !most.receives() {
		c.p.journal.violation(RuleAnswer, "%s: %s to an offer of %s", m.Line(), d.direction, c.offered.direction)
	}
}

// answerTo answers the offer in m; nil if it cannot be used.
func (c *Call) answerTo(m *sipmsg.Message) []byte {
	d := c.read(m)
	if d == nil {
		return nil
	}
	codec, ok := d.codec(c.codecs)
	if !ok {
		return nil
	}
	dir := d.direction.mirror()
	if !c.own.sends() || !c.own.receives() {
		dir = narrow(dir, c.own)
	}
	c.answerBody = string(c.describe([]voice.Codec{codec}, dir, d))
	c.aim(d)
	return []byte(c.answerBody)
}

// narrow is what two directions allow together.
func narrow(a, b direction) direction {
	switch sends, receives := a.sends() && b.sends(), a.receives() && b.receives(); {
	case sends && receives:
		return sendRecv
	case sends:
		return sendOnly
	case receives:
		return recvOnly
	default:
		return inactive
	}
}

// aim points the voice to where the far description says.
func (c *Call) aim(d *description) {
	if d.audio.Port() == 0 {
		c.p.journal.violation(RuleSDP, "audio refused (port 0)")
		return
	}
	codec, ok := d.codec(c.codecs)
	if !ok {
		c.p.journal.violation(RuleSDP, "no codec of ours in payload types %v", d.payloads)
	}
	c.mu.Lock()
	c.mu.remote, c.mu.codec = d.audio, codec
	c.mu.Unlock()
	c.voice.Aim(d.audio, codec, d.direction.receives() && c.own.sends())
}
