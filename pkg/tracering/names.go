package tracering

import (
	"bytes"
	"net/netip"
)

// Names gives the parties of a trace their names from the messages themselves: this node is self, and the
// far end of a dialog is who its INVITEs say (From of those read, To of those sent). An address for which
// two dialogs say different names has none, so that a [Ladder] shows the address.
func Names(entries []Entry, self string) func(netip.AddrPort) string {
	party := map[string]string{}
	for i := range entries {
		e := &entries[i]
		if name := farEnd(e); name != "" && party[e.CallID] == "" {
			party[e.CallID] = name
		}
	}
	names := map[netip.AddrPort]string{}
	for i := range entries {
		e := &entries[i]
		name := party[e.CallID]
		if known, ok := names[e.Flow.Remote]; ok && known != name {
			name = ""
		}
		names[e.Flow.Remote] = name
	}
	for i := range entries {
		names[entries[i].Flow.Local] = self
	}
	return func(a netip.AddrPort) string { return names[a] }
}

// farEnd is the user at the other end of the flow, if the message is an INVITE.
func farEnd(e *Entry) string {
	if !bytes.HasPrefix(e.Message, []byte("INVITE ")) {
		return ""
	}
	name, compact := "from", "f"
	if e.Out {
		name, compact = "to", "t"
	}
	value, _ := headerValue(e.Message, name, compact)
	if open := bytes.LastIndexByte(value, '<'); open >= 0 {
		value = value[open:]
	}
	i := uriUser(value)
	if i < 0 {
		return ""
	}
	user := value[i:]
	end := bytes.IndexAny(user, "@;:> \t")
	if end < 0 || user[end] != '@' {
		return "" // a URI without a user part
	}
	return printable(user[:end])
}
