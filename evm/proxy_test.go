package evm_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

type message struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   json.RawMessage `json:"error,omitempty"`
}

// node stands in front of the real chain and may lie.
type node struct {
	URL string
	// lie changes the result of a method, or returns it.
	lie func(method string, result json.RawMessage) json.RawMessage
	// swallow answers without asking the chain at all.
	swallow func(method string) json.RawMessage
	// answering is swallow for who has to know what was asked.
	answering func(request message) json.RawMessage
	// alter changes what is asked.
	alter func(request *message)
	// refuse answers with an error, whether or not the chain hears of it.
	refuse func(request message) (text string, heard bool)
	// spoil spoils the HTTP answer; false leaves it.
	spoil func(w http.ResponseWriter, count int64, body []byte) bool

	calls    atomic.Int64
	upstream string
}

func newNode(t *testing.T, n *node) *node {
	t.Helper()
	n.upstream = world.chain.URL()
	server := httptest.NewServer(n)
	t.Cleanup(server.Close)
	n.URL = server.URL
	return n
}

func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	count := n.calls.Add(1)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var answer []byte
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")) {
		var requests []message
		_ = json.Unmarshal(body, &requests)
		var answers []message
		for _, request := range requests {
			answers = append(answers, n.answer(request))
		}
		answer, _ = json.Marshal(answers)
	} else {
		var request message
		_ = json.Unmarshal(body, &request)
		answer, _ = json.Marshal(n.answer(request))
	}
	if n.spoil != nil && n.spoil(w, count, answer) {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	_, _ = w.Write(answer)
}

func (n *node) answer(request message) message {
	if n.swallow != nil {
		if result := n.swallow(request.Method); result != nil {
			return message{Version: "2.0", ID: request.ID, Result: result}
		}
	}
	if n.answering != nil {
		if result := n.answering(request); result != nil {
			return message{Version: "2.0", ID: request.ID, Result: result}
		}
	}
	if n.alter != nil {
		n.alter(&request)
	}
	var refusal string
	heard := true
	if n.refuse != nil {
		refusal, heard = n.refuse(request)
	}
	var answer message
	if heard {
		answer = n.hear(request)
	}
	if refusal != "" {
		return message{Version: "2.0", ID: request.ID, Error: json.RawMessage(`{"code":-32000,"message":"` + refusal + `"}`)}
	}
	if n.lie != nil && answer.Result != nil {
		answer.Result = n.lie(request.Method, answer.Result)
	}
	return answer
}

// hear asks the chain.
func (n *node) hear(request message) message {
	body, _ := json.Marshal(request)
	response, err := http.Post(n.upstream, "application/json", bytes.NewReader(body))
	if err != nil {
		return message{Version: "2.0", ID: request.ID, Error: json.RawMessage(`{"code":-32603,"message":"down"}`)}
	}
	defer func() { _ = response.Body.Close() }()
	var answer message
	_ = json.NewDecoder(response.Body).Decode(&answer)
	return answer
}

// edit changes every receipt or log in a result.
func edit(t testing.TB, result json.RawMessage, change func(map[string]any)) json.RawMessage {
	var one map[string]any
	if json.Unmarshal(result, &one) == nil {
		if one != nil {
			change(one)
		}
		return encode(t, one)
	}
	var many []map[string]any
	if json.Unmarshal(result, &many) != nil {
		return result
	}
	for _, each := range many {
		change(each)
	}
	return encode(t, many)
}

// editLogs changes every log of every receipt.
func editLogs(t testing.TB, result json.RawMessage, change func(map[string]any)) json.RawMessage {
	return edit(t, result, func(receipt map[string]any) {
		logs, _ := receipt["logs"].([]any)
		for _, l := range logs {
			if log, ok := l.(map[string]any); ok {
				change(log)
			}
		}
	})
}

func encode(t testing.TB, v any) json.RawMessage {
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return text
}
