# SikkerKey: makes this host a machine of a vault.
#
# What it does, in this order:
#   1. makes an Ed25519 key here. The private key never leaves this host and is never shown.
#   2. sends the public key, the host's name and its system's name to the server, with the one-time token below.
#   3. writes what the server answers, and the private key, where the SikkerKey clients look for them.
# Until a person at the server has approved the key, it opens nothing.
#
# Nothing runs before the last line has arrived: all of it is one block.

& {
  Set-StrictMode -Version 2
  $ErrorActionPreference = 'Stop'

  $url = 'https://sikkerkey.example.com'
  $vault = 'vault_a1b2c3d4e5'
  # Good once, for ten minutes, and for registering a machine that waits for approval: for nothing else.
  $token = '00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff'
  # The authority that vouches for the server's certificate, where this host does not know it by itself.
  $ca = '-----BEGIN CERTIFICATE-----
MIIBAuthorityOfTheTestsWhichIsNoRealOneAtAll+/8=
-----END CERTIFICATE-----'

  $onWindows = $env:OS -eq 'Windows_NT'

  function Stop-Here([string] $text) { throw "sikkerkey: $text" }
  function Get-Hex([byte[]] $bytes) { [BitConverter]::ToString($bytes).Replace('-', '').ToLowerInvariant() }
  function Get-Bytes([string] $hex) {
    $bytes = New-Object byte[] ($hex.Length / 2)
    for ($i = 0; $i -lt $bytes.Length; $i++) { $bytes[$i] = [Convert]::ToByte($hex.Substring(2 * $i, 2), 16) }
    , $bytes
  }
  function Write-Text([string] $path, [string] $text) {
    # Without the mark at the beginning that some clients do not read.
    [IO.File]::WriteAllText($path, $text, (New-Object Text.UTF8Encoding $false))
  }

  # Makes a directory for the one who runs this, and for nobody else.
  function New-PrivateDirectory([string] $path) {
    [void] (New-Item -ItemType Directory -Path $path)
    if ($onWindows) {
      $acl = New-Object Security.AccessControl.DirectorySecurity
      $acl.SetAccessRuleProtection($true, $false)
      $me = [Security.Principal.WindowsIdentity]::GetCurrent().User
      $rule = New-Object Security.AccessControl.FileSystemAccessRule -ArgumentList $me, 'FullControl', 'ContainerInherit, ObjectInherit', 'None', 'Allow'
      $acl.AddAccessRule($rule)
      Set-Acl -LiteralPath $path -AclObject $acl
    } else {
      chmod 700 $path
    }
  }

  # Runs a program with arguments as they are written, quotation marks included: versions of PowerShell differ in that.
  function Invoke-Program([string] $program, [string] $arguments) {
    $start = New-Object Diagnostics.ProcessStartInfo -ArgumentList $program, $arguments
    $start.UseShellExecute = $false
    $start.RedirectStandardOutput = $true
    $start.RedirectStandardError = $true
    $start.RedirectStandardInput = $true
    $process = [Diagnostics.Process]::Start($start)
    $process.StandardInput.Close()
    $problem = $process.StandardError.ReadToEndAsync()
    $output = $process.StandardOutput.ReadToEnd()
    $process.WaitForExit()
    @{ Code = $process.ExitCode; Output = $output; Problem = $problem.Result }
  }

  # Step 1. The private half and the public half of a new key, in hex. Newer versions of .NET make one by themselves.
  function New-Key([string] $work) {
    if (-not [string]::IsNullOrEmpty($env:SIKKERKEY_KEY)) {
      Stop-Here 'this script makes a key of its own: remove SIKKERKEY_KEY. Nothing was written, and the token is not used up'
    }
    $type = [Type]::GetType('System.Security.Cryptography.Ed25519, System.Security.Cryptography')
    if ($null -ne $type) {
      try {
        $key = $type::GenerateKey()
        $private = Get-Hex $key.ExportPkcs8PrivateKey()
        $public = Get-Hex $key.ExportSubjectPublicKeyInfo()
        if ($private -match '^302e020100300506032b657004220420([0-9a-f]{64})$') {
          $seed = $Matches[1]
          if ($public -match '^302a300506032b6570032100([0-9a-f]{64})$') { return @{ Seed = $seed; Public = $Matches[1] } }
        }
      } catch {
        Write-Verbose "this .NET makes no such key: $_"
      }
    }
    $program = Get-Command ssh-keygen -CommandType Application -ErrorAction SilentlyContinue | Select-Object -First 1
    if ($null -eq $program) {
      Stop-Here 'no program here makes an Ed25519 key: install the OpenSSH client (Settings, Optional features), and run the command again. Nothing was written, and the token is not used up'
    }
    $file = Join-Path $work 'made'
    $made = Invoke-Program $program.Path "-q -t ed25519 -N `"`" -C `"`" -f `"$file`""
    if ($made.Code -ne 0) { Stop-Here "ssh-keygen cannot make a key: $($made.Problem)" }
    $lines = [IO.File]::ReadAllLines($file) | Where-Object { $_ -notmatch '^-----' }
    $hex = Get-Hex ([Convert]::FromBase64String($lines -join ''))
    # One ed25519 key without a password, and nothing else.
    $kind = '0000000b7373682d6564323535313900000020'
    $form = '^6f70656e7373682d6b65792d763100000000046e6f6e65000000046e6f6e6500000000' +
      "0000000100000033$kind(?<public>[0-9a-f]{64})[0-9a-f]{8}(?<check>[0-9a-f]{8})\k<check>" +
      "$kind\k<public>00000040(?<seed>[0-9a-f]{64})\k<public>[0-9a-f]*$"
    if ($hex -notmatch $form) { Stop-Here 'ssh-keygen has made a key of another form than this script knows: install openssl or a newer OpenSSH' }
    @{ Seed = $Matches['seed']; Public = $Matches['public'] }
  }

  # Step 2. Where the server's authority is its own, curl asks: it is told of one, and Windows has it.
  function Send-Request([string] $work, [string] $body) {
    $address = "$url/v1/bootstrap/register"
    if ($ca -eq '') {
      [Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12
      try {
        return Invoke-RestMethod -Method Post -Uri $address -ContentType 'application/json; charset=utf-8' -Body $body -TimeoutSec 60
      } catch {
        $said = $_.Exception.Message
        if ($null -ne $_.ErrorDetails) { $said = $_.ErrorDetails.Message }
        Stop-Here "the server refused, or does not answer: $said. Nothing was written"
      }
    }
    $program = Get-Command curl.exe, curl -CommandType Application -ErrorAction SilentlyContinue | Select-Object -First 1
    if ($null -eq $program) { Stop-Here 'curl is not here, and is needed where the server has an authority of its own. Nothing was written' }
    $request = Join-Path $work 'request.json'
    Write-Text $request $body
    # An authority of one's own seldom tells which of its certificates are revoked: that is not asked.
    $sent = Invoke-Program $program.Path "-sS --ssl-no-revoke --max-time 60 --cacert `"$(Join-Path $work 'ca.pem')`" -H `"Content-Type: application/json`" --data-binary `"@$request`" $address"
    if ($sent.Code -ne 0) { Stop-Here "the server does not answer: $($sent.Problem). Nothing was written" }
    try { $answer = $sent.Output | ConvertFrom-Json } catch { Stop-Here 'the server answers something else than JSON. Nothing was written' }
    if ($answer.PSObject.Properties.Name -contains 'error') { Stop-Here "the server refused: $($answer.error). Nothing was written" }
    $answer
  }

  # Where the clients look. SIKKERKEY_HOME replaces ~\.sikkerkey for them, too.
  $base = $env:SIKKERKEY_HOME
  if ([string]::IsNullOrEmpty($base)) { $base = Join-Path $HOME '.sikkerkey' }
  $base = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($base)
  $vaults = Join-Path $base 'vaults'
  $made = @()
  foreach ($directory in $base, $vaults) {
    if (-not (Test-Path -LiteralPath $directory -PathType Container)) {
      New-PrivateDirectory $directory
      $made = @($directory) + $made
    }
  }
  $goal = Join-Path $vaults $vault
  # Beside the goal, so that what is ready is put in place in one move.
  $work = Join-Path $base ('.bootstrap-' + [Guid]::NewGuid().ToString('N'))
  $old = Join-Path $work 'old'
  New-PrivateDirectory $work
  try {
    $new = Join-Path $work 'new'
    New-PrivateDirectory $new
    if ($ca -ne '') { Write-Text (Join-Path $work 'ca.pem') "$ca`n"; Write-Text (Join-Path $new 'ca.pem') "$ca`n" }
    $key = New-Key $work
    $der = Get-Bytes ('302e020100300506032b657004220420' + $key.Seed)
    Write-Text (Join-Path $new 'private.pem') "-----BEGIN PRIVATE KEY-----`n$([Convert]::ToBase64String($der))`n-----END PRIVATE KEY-----`n"
    $public = Get-Bytes $key.Public
    # What people compare: the first half of the public key's hash. Computed here, so that it is this key's and no other's.
    $sha = [Security.Cryptography.SHA256]::Create()
    $fingerprint = 'SHA256:' + (Get-Hex $sha.ComputeHash($public)).Substring(0, 32)

    $body = ConvertTo-Json -Compress ([ordered] @{
      token = $token
      publicKey = [Convert]::ToBase64String($public)
      hostname = [Environment]::MachineName
      os = [Environment]::OSVersion.VersionString
    })
    $answer = Send-Request $work $body
    $names = @($answer.PSObject.Properties.Name)
    foreach ($name in 'machineId', 'machineName', 'vaultId', 'apiUrl', 'expiresAt') {
      if ($names -notcontains $name) { Stop-Here "the server's answer is not one that this script knows: it has no $name. Nothing was written. Have the machine that waits with fingerprint $fingerprint denied" }
    }
    if ($answer.machineId -cnotmatch '^[0-9a-f-]{36}$' -or $answer.vaultId -cne $vault -or $answer.apiUrl -notmatch '^https?://') {
      Stop-Here "the server's answer is not one that this script knows. Nothing was written. Have the machine that waits with fingerprint $fingerprint denied"
    }

    # Step 3. All five keys, and no other: some clients take no more.
    try {
      Write-Text (Join-Path $new 'identity.json') ((ConvertTo-Json -Compress ([ordered] @{
        machineId = [string] $answer.machineId
        machineName = [string] $answer.machineName
        vaultId = [string] $answer.vaultId
        apiUrl = [string] $answer.apiUrl
        privateKeyPath = (Join-Path $goal 'private.pem')
      })) + "`n")
      if (-not $onWindows) { Get-ChildItem -LiteralPath $new | ForEach-Object { chmod 600 $_.FullName } }
      $replaced = Test-Path -LiteralPath $goal -PathType Container
      # The identity that was here is replaced as a whole, with its cache, which only its own key opens. Other files stay.
      if ($replaced) { [IO.Directory]::Move($goal, $old) }
      [IO.Directory]::Move($new, $goal)
    } catch {
      Stop-Here "this host is registered as machine $($answer.machineId), and its identity could not be written: $($_.Exception.Message). Have that machine denied, and ask for a new command"
    }
    if ($replaced) {
      Get-ChildItem -LiteralPath $old -Force | Where-Object { 'private.pem', 'identity.json', 'ca.pem', 'cache' -notcontains $_.Name } | ForEach-Object {
        Move-Item -LiteralPath $_.FullName -Destination $goal
      }
    }
  } finally {
    # However this ends, nothing half made stays behind; an identity that was moved aside comes back.
    if ((Test-Path -LiteralPath $old) -and -not (Test-Path -LiteralPath $goal)) { [IO.Directory]::Move($old, $goal) }
    Remove-Item -LiteralPath $work -Recurse -Force
    foreach ($directory in $made) {
      if ($null -eq (Get-ChildItem -LiteralPath $directory -Force | Select-Object -First 1)) { Remove-Item -LiteralPath $directory }
    }
  }

  @"
This host is registered as "$($answer.machineName)" in vault $vault, and waits for approval.

  machine      $($answer.machineId)
  fingerprint  $fingerprint
  public key   $([Convert]::ToBase64String($public))
  identity     $(Join-Path $goal 'identity.json')
  private key  $(Join-Path $goal 'private.pem')

What to do next: tell whoever approves it the fingerprint, by a way that you both trust. They compare it with the one that
the server shows, and approve: sikkerkey-server admin machine approve $($answer.machineId)
"@
  if ($replaced) {
    @"

The identity that was here before is replaced. Its machine goes on at the server until this one is approved, if it has
the same name; else have it revoked.
"@
  }
  if ($ca -ne '') {
    $file = Join-Path $goal 'ca.pem'
    @"

The server's certificate is of an authority of its own, which is now in $file. Programs that read secrets
have to be told:
  .NET, Go:  Import-Certificate -FilePath '$file' -CertStoreLocation Cert:\CurrentUser\Root
             (everything that this user runs then trusts that authority)
  Python:    `$env:SSL_CERT_FILE = '$file' (in place of the system's authorities)
  Node.js:   `$env:NODE_EXTRA_CA_CERTS = '$file'
  Java, Kotlin:  keytool -importcert -noprompt -alias sikkerkey -file '$file' -keystore STORE -storepass changeit
             and -Djavax.net.ssl.trustStore=STORE
"@
  }
}
