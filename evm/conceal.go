package evm

import (
	"net/url"
	"slices"
	"strings"
)

// concealedError is a node's error without the node's address: providers put the operator's key into it, and errors end up
// in logs, jobs and answers.
type concealedError struct {
	text string
	err  error
}

func (e *concealedError) Error() string { return e.text }

func (e *concealedError) Unwrap() error { return e.err }

// shortKey is the length from which a part of an address is taken for a key rather than for a word such as "mainnet".
const shortKey = 12

// conceal takes a node's address out of its error, and whatever in the address may be a key: nodes repeat it.
func conceal(address string, err error) error {
	if err == nil {
		return nil
	}
	text := strings.ReplaceAll(err.Error(), address, "the node")
	for _, part := range keysIn(address) {
		text = strings.ReplaceAll(text, part, "[redacted]")
	}
	return &concealedError{text, err}
}

// keysIn are the parts of an address that may be keys, the longest first.
func keysIn(address string) (keys []string) {
	u, err := url.Parse(address)
	if err != nil {
		return []string{address}
	}
	add := func(part string) {
		if len(part) >= shortKey {
			keys = append(keys, part)
		}
	}
	if password, ok := u.User.Password(); ok && password != "" {
		keys = append(keys, password)
	}
	add(u.User.Username())
	for part := range strings.SplitSeq(u.Path, "/") {
		add(part)
	}
	for _, values := range u.Query() {
		for _, value := range values {
			add(value)
		}
	}
	slices.SortFunc(keys, func(a, b string) int { return len(b) - len(a) })
	return keys
}
