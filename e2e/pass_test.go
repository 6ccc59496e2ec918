package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheDemosAPIIsPaid pays the endpoint that dev.json names, by unmodified clients and by a pass bought for it.
func TestTheDemosAPIIsPaid(t *testing.T) {
	t.Parallel()
	w := sharedWorld(t)
	require.Equal(t, w.BaseURL+"/x/"+w.EndpointID, w.EndpointURL)
	require.Equal(t, http.StatusPaymentRequired, w.get(t, w.EndpointURL).Status)
	for _, version := range []int{1, 2} {
		paid := w.runClient(t, version, w.EndpointURL+"/today?grinder=2")
		require.Equal(t, http.StatusOK, paid.Status, paid.Body)
		var told struct {
			Path     string
			PaidBy   string `json:"paid_by"`
			Purchase string
		}
		require.NoError(t, json.Unmarshal([]byte(paid.Body), &told))
		require.Equal(t, "/brewing/today?grinder=2", told.Path)
		require.True(t, strings.EqualFold(w.BuyerAddress, told.PaidBy), told.PaidBy)
		require.True(t, strings.HasPrefix(told.Purchase, "pa_"), told.Purchase)
	}

	var l link
	w.call(t, "/api/payment_links/create", object{"endpoint_id": w.EndpointID, "title": "One look into the grinders"}, &l)
	bought := w.runClient(t, 2, l.URL)
	require.Equal(t, http.StatusOK, bought.Status, bought.Body)
	var r struct {
		Pass struct {
			Token       string `json:"token"`
			EndpointURL string `json:"endpoint_url"`
		} `json:"pass"`
	}
	require.NoError(t, json.Unmarshal([]byte(bought.Body), &r))
	require.Equal(t, w.EndpointURL, r.Pass.EndpointURL)
	require.Equal(t, http.StatusOK, w.get(t, r.Pass.EndpointURL, "X-Access-Pass", r.Pass.Token).Status)
	require.Equal(t, http.StatusPaymentRequired, w.get(t, r.Pass.EndpointURL, "X-Access-Pass", r.Pass.Token).Status, "it is for one call")
}
