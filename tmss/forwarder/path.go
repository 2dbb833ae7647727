package forwarder

import (
	"bytes"
	"strings"

	"github.com/mss-federation/mss/pkg/federation"
)

// pathName is the header that says by which hubs, for which number and by which of their rules a request came:
//
//	X-MSS-Path: hub/a;to=1001;rule=1, hub/b;to=1001;rule=10
const pathName = "X-MSS-Path"

// step is one hub's entry in the path.
type step struct{ node, to, rule []byte }

// readSteps yields the entries of one header value.
func readSteps(value []byte, yield func(step) bool) {
	for entry := range bytes.SplitSeq(value, []byte{','}) {
		var s step
		node, params, _ := bytes.Cut(bytes.TrimSpace(entry), []byte{';'})
		s.node = node
		for p := range bytes.SplitSeq(params, []byte{';'}) {
			key, v, _ := bytes.Cut(p, []byte{'='})
			switch string(key) {
			case "to":
				s.to = v
			case "rule":
				s.rule = v
			}
		}
		if !yield(s) {
			return
		}
	}
}

// loop looks for a node that had this number before. first is its entry, with the rule by which it sent the
// number on, last the entry of who sent it now.
func loop(value []byte, node federation.NodeID, to string) (first, last step, found bool) {
	readSteps(value, func(s step) bool {
		if string(s.node) == string(node) && string(s.to) == to && !found {
			first, found = s, true
		}
		last = s
		return true
	})
	return first, last, found
}

// appendStep appends an entry.
func appendStep(dst []byte, node federation.NodeID, to, rule string) []byte {
	dst = append(dst, node...)
	dst = append(dst, ";to="...)
	dst = append(dst, to...)
	if rule == "" {
		return dst
	}
	dst = append(dst, ";rule="...)
	return append(dst, tokenOf(rule)...)
}

// tokenOf makes text fit to stand in a list of parameters.
func tokenOf(text string) string {
	const unsafe = ",;=\" \t\r\n\\"
	if !strings.ContainsAny(text, unsafe) && strings.IndexFunc(text, outsideASCII) < 0 {
		return text
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(unsafe, r) || outsideASCII(r) {
			return '_'
		}
		return r
	}, text)
}

func outsideASCII(r rune) bool { return r < ' ' || r > '~' }
