//! The metrics of the operator, as people look them up.

use meshcore_operator::metrics::documentation;
use meshcore_testkit::generated_file;

#[test]
fn the_list_of_metrics_is_the_one_of_the_code() {
    let text = format!(
        "<!-- Made from operator/src/metrics.rs: make generate -->\n\
         # Metrics of the operator\n\n\
         On `/metrics` of the operator's port (`--address`, 8080), in the OpenMetrics text form. No label names an \
         object, so their number does not grow with the number of resources; values of labels are from bounded sets. \
         Counters of what has not happened yet are not there. Of several operators only the one that leads reconciles \
         and watches; each shows its own requests.\n\n\
         {}\n\
         `kind` is the kind of an object, with `/status` or `/scale` behind it where only that part is meant, or \
         `Discovery` for what is none. `verb` is `get`, `list`, `watch`, `create`, `update`, `apply` (server-side), \
         `patch` or `delete`.\n\n\
         | What to watch | Expression |\n|---|---|\n\
         | resources that are not well | `meshcore_operator_resources_by_condition{{type=\"Ready\",status!=\"True\"}} > 0` for 15 minutes |\n\
         | writes without a change | `rate(meshcore_operator_api_writes_total{{kind!=\"Lease\"}}[15m]) > 0` while nobody changes anything |\n\
         | a watch that hears nothing | `meshcore_operator_watch_age_seconds > 330` |\n\
         | nobody leads | `sum(meshcore_operator_leader) < 1` for a minute |\n\
         | an old definition | `meshcore_operator_crd_outdated == 1` |\n",
        documentation()
    );
    generated_file("docs/operator-metrics.md", &text);
}
