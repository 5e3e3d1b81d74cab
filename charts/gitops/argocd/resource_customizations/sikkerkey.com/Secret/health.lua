local health = { status = "Progressing", message = "Waiting for the operator" }
if obj.metadata.deletionTimestamp ~= nil then
  health.message = "Being deleted"
  return health
end
local status = obj.status
if status == nil or status.conditions == nil or status.observedGeneration ~= obj.metadata.generation then
  return health
end
-- A person has to act, and not in Git.
local waits = {
  AdoptionRequired = true,
  AwaitingApproval = true,
  AwaitingBootstrap = true,
  ProjectFrozen = true,
  ValueLost = true,
  ValueMissing = true,
}
local ready = nil
for _, condition in ipairs(status.conditions) do
  if condition.type == "Stalled" and condition.status == "True" then
    health.status = "Degraded"
    health.message = condition.reason .. ": " .. condition.message
    return health
  end
  if condition.type == "Ready" then
    ready = condition
  end
end
if ready == nil then
  return health
end
health.message = ready.message
if ready.status == "True" then
  health.status = "Healthy"
elseif waits[ready.reason] then
  health.status = "Suspended"
else
  health.message = ready.reason .. ": " .. ready.message
end
return health
