package sipp

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const (
	troubleKinds = 8    // kinds of failures that Trouble names
	troubleBytes = 1000 // what it quotes when it knows none of them
)

// event is one thing that SIPp complains of: a message that was not expected, or one that nobody answered.
var event = regexp.MustCompile(`Aborting call on unexpected message for Call-Id '[^']*': while expecting '([^']*)' \(index (\d+)\), received '([^\r\n]*)` +
	`|Aborting call on (UDP retransmission timeout|receive timeout)`)

// Trouble says why calls failed and how often, or what the process said of itself when it could not run.
func (p *Process) Trouble() string {
	files, err := filepath.Glob(filepath.Join(p.dir, "*_errors.log"))
	if err == nil && len(files) > 0 {
		if data, err := os.ReadFile(files[0]); err == nil {
			return summarise(string(data))
		}
	}
	data, err := os.ReadFile(filepath.Join(p.dir, "output"))
	if err != nil {
		return err.Error()
	}
	return quote(string(data))
}

func quote(text string) string { return strings.TrimSpace(text[:min(len(text), troubleBytes)]) }

// summarise counts the events of an error log, the most frequent first. A log without events is quoted.
func summarise(log string) string {
	counts := make(map[string]int)
	for _, m := range event.FindAllStringSubmatch(log, -1) {
		kind := m[4]
		if kind == "" {
			message, _, _ := strings.Cut(m[3], " sip:") // a request is named by its method
			kind = fmt.Sprintf("expected %s (step %s), got %s", m[1], m[2], message)
		}
		counts[kind]++
	}
	if len(counts) == 0 {
		return quote(log)
	}
	kinds := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(counts[b]-counts[a], strings.Compare(a, b))
	})
	var b strings.Builder
	for _, kind := range kinds[:min(len(kinds), troubleKinds)] {
		fmt.Fprintf(&b, "%d × %s\n", counts[kind], kind)
	}
	if more := len(kinds) - troubleKinds; more > 0 {
		fmt.Fprintf(&b, "and %d other kinds\n", more)
	}
	return strings.TrimSpace(b.String())
}
