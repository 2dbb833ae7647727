package call

import (
	"net/netip"

	"github.com/mss-federation/mss/pkg/media"
	"github.com/mss-federation/mss/pkg/sipgate"
	"github.com/mss-federation/mss/pkg/sipheader"
	"github.com/mss-federation/mss/pkg/siptx"
)

// A site that cannot be reached says so in its INVITEs and the answers to them, between our own nodes alone: what is
// sent to the address in its SDP does not arrive before it has sent something itself.
const (
	voiceHeader      = "X-MSS-Voice"
	voiceName        = "x-mss-voice"
	voiceUnreachable = "unreachable"
)

// noWayForVoice is what a caller reads who is at one of two such sites.
const noWayForVoice = "neither office can be reached for voice: forward the voice ports of one of them"

// appendVoice says in an INVITE, or an answer to one, whether voice reaches this site.
func (l *Leg) appendVoice(dst []byte) []byte {
	if l.node == "" || l.call.env.VoiceReachable() {
		return dst
	}
	return sipheader.Line(dst, voiceHeader, voiceUnreachable)
}

// hearVoice takes what the other site says of its voice.
func (l *Leg) hearVoice(raw []byte, head *sipgate.Head) {
	l.hidden = l.node != "" && sipheader.First(raw, head, voiceName) == voiceUnreachable
}

// voiceless says whether this site and the leg's cannot reach each other: both would wait for the other one's voice.
func (l *Leg) voiceless() bool { return l.hidden && !l.call.env.VoiceReachable() }

// refusedVoiceless says whether the other site refused the call because of that: it knows both first.
func (l *Leg) refusedVoiceless(res *siptx.Response) bool {
	l.hearVoice(res.Raw, res.Head)
	return l.voiceless()
}

// through makes an aim fit the NATs between this site and the leg's: a site that is hidden is heard where it really
// speaks from, and never sent to where it only says that it is; and a site that is hidden itself keeps its way open.
func (l *Leg) through(aim *media.Aim) {
	if l.hidden {
		aim.Learn, aim.RTP, aim.RTCP = media.LearnSource, netip.AddrPort{}, netip.AddrPort{}
	}
	aim.Keepalive = l.node != "" && !l.call.env.VoiceReachable()
}

// refuseVoiceless refuses a call that would be silent, and says why.
func (c *Call) refuseVoiceless() {
	c.failure.explain(488, noWayForVoice, false)
	c.refuse()
}

// VoiceReachable says whether other sites can send voice to this one before it has sent any to them.
func (r *Runner) VoiceReachable() bool {
	return r.deps.Uplink == nil || r.deps.Uplink.VoiceReachable()
}
