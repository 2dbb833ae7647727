package ng

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// errBencode says that bytes are not bencode.
var errBencode = errors.New("not bencode")

// appendValue writes a string, an int, a []string or a map of these.
func appendValue(b []byte, value any) []byte {
	switch v := value.(type) {
	case string:
		b = strconv.AppendInt(b, int64(len(v)), 10)
		return append(append(b, ':'), v...)
	case int:
		b = strconv.AppendInt(append(b, 'i'), int64(v), 10)
		return append(b, 'e')
	case []string:
		b = append(b, 'l')
		for _, element := range v {
			b = appendValue(b, element)
		}
		return append(b, 'e')
	case map[string]any:
		b = append(b, 'd')
		for _, key := range slices.Sorted(maps.Keys(v)) { // their order is part of the format
			b = appendValue(appendValue(b, key), v[key])
		}
		return append(b, 'e')
	}
	panic(fmt.Sprintf("bencode has no %T", value)) // what is sent is written in this package
}

// maxDepth bounds how values may hold each other.
const maxDepth = 16

// parseValue reads one value: a string, an int, a []any or a map[string]any. It gives what follows it.
func parseValue(b []byte, depth int) (value any, rest []byte, err error) {
	if len(b) == 0 || depth > maxDepth {
		return nil, nil, errBencode
	}
	switch b[0] {
	case 'i':
		text, rest, ok := bytes.Cut(b[1:], []byte("e"))
		n, err := strconv.Atoi(string(text))
		if !ok || err != nil {
			return nil, nil, errBencode
		}
		return n, rest, nil
	case 'l':
		return parseList(b[1:], depth+1)
	case 'd':
		return parseDict(b[1:], depth+1)
	}
	return parseString(b)
}

func parseString(b []byte) (value any, rest []byte, err error) {
	digits, rest, ok := bytes.Cut(b, []byte(":"))
	n, err := strconv.Atoi(string(digits))
	if !ok || err != nil || n < 0 || n > len(rest) {
		return nil, nil, errBencode
	}
	return string(rest[:n]), rest[n:], nil
}

func parseList(b []byte, depth int) (any, []byte, error) {
	list := []any{}
	for len(b) > 0 && b[0] != 'e' {
		value, rest, err := parseValue(b, depth)
		if err != nil {
			return nil, nil, err
		}
		list, b = append(list, value), rest
	}
	if len(b) == 0 {
		return nil, nil, errBencode
	}
	return list, b[1:], nil
}

func parseDict(b []byte, depth int) (any, []byte, error) {
	elements, rest, err := parseList(b, depth)
	if err != nil {
		return nil, nil, err
	}
	list, _ := elements.([]any)
	if len(list)%2 != 0 {
		return nil, nil, errBencode
	}
	dict := make(map[string]any, len(list)/2)
	for pair := range slices.Chunk(list, 2) {
		key, ok := pair[0].(string)
		if !ok {
			return nil, nil, errBencode
		}
		dict[key] = pair[1]
	}
	return dict, rest, nil
}
