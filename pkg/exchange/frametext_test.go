package exchange

import (
	"fmt"
	"strings"

	"github.com/mss-federation/mss/pkg/federation"
	exchangev1 "github.com/mss-federation/mss/proto/mss/exchange/v1"
)

// frameText is a frame in one line, for transcripts.
func frameText(f *exchangev1.Frame) string {
	switch k := f.GetKind().(type) {
	case *exchangev1.Frame_Open:
		o := k.Open
		text := fmt.Sprintf("Open %s epoch=%d %s hold=%dms paths=%d", o.GetNodeId(), o.GetBootEpoch(), o.GetRole(), o.GetHoldMs(), o.GetMaxPaths())
		if r := o.GetResume(); r != nil {
			text += fmt.Sprintf(" resume=%d/%d", r.GetPeerEpoch(), r.GetLastVersion())
		}
		return text
	case *exchangev1.Frame_OpenConfirm:
		return fmt.Sprintf("OpenConfirm version=%d resumed=%v credit=%d", k.OpenConfirm.GetVersion(), k.OpenConfirm.GetResumed(), k.OpenConfirm.GetCreditBytes())
	case *exchangev1.Frame_Cease:
		return fmt.Sprintf("Cease %s graceful=%v: %s", CodeName(k.Cease.GetCode()), k.Cease.GetGraceful(), k.Cease.GetText())
	case *exchangev1.Frame_Update:
		return updateText(k.Update)
	case *exchangev1.Frame_EndOfRib:
		return fmt.Sprintf("EndOfRib version=%d", k.EndOfRib.GetVersion())
	case *exchangev1.Frame_EndRefresh:
		return fmt.Sprintf("EndRefresh version=%d", k.EndRefresh.GetVersion())
	case *exchangev1.Frame_Ack:
		return fmt.Sprintf("Ack version=%d", k.Ack.GetVersion())
	case *exchangev1.Frame_Directory:
		text := "Directory"
		for _, h := range k.Directory.GetHubs() {
			text += " " + h.GetId() + "=" + h.GetGrpc()
		}
		return text
	case *exchangev1.Frame_Keepalive:
		return fmt.Sprintf("Keepalive calls=%d core=%v", k.Keepalive.GetLoad().GetCalls(), k.Keepalive.GetCoreSessions())
	default:
		return frameName(f)
	}
}

func updateText(u *exchangev1.Update) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Update version=%d", u.GetVersion())
	for _, w := range u.GetWithdraw() {
		fmt.Fprintf(&b, " -%s#%d", nlriText(w.GetNlri()), w.GetPathId())
	}
	for _, a := range u.GetAnnounce() {
		fmt.Fprintf(&b, " +%s#%d", nlriText(a.GetNlri()), a.GetPathId())
		for i, e := range u.GetAttributes()[a.GetAttributes()].GetAdvPath() {
			fmt.Fprintf(&b, " %s@%d.%d", e.GetNode(), e.GetEpoch(), a.GetRevisions()[i])
		}
		if c := a.GetCause(); c != nil {
			fmt.Fprintf(&b, " because %s@%d.%d", c.GetNode(), c.GetEpoch(), c.GetRevision())
		}
	}
	return b.String()
}

func nlriText(n *exchangev1.Nlri) string {
	return federation.NLRI{
		Family: federation.Family(n.GetFamily()), Key: n.GetKey(), MinLen: uint8(n.GetMinLen()), MaxLen: uint8(n.GetMaxLen()),
	}.String()
}
